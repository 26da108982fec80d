"""Settings that operators change while the service runs; those not set have a built-in default."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from pymongo.errors import DuplicateKeyError

from storage.base.database import Clock, Databases, Document
from storage.base.setting_keys import DEFAULTS, SETTINGS

_FRESH = timedelta(seconds=3)
_READ_MS = 3000
_ENCRYPTED = "$wd01$"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored value. What is not `listed` is read by its key alone."""

    value: Any
    listed: bool


class Settings:
    """Repository of settings. Values are read again after three seconds, so a change is in force soon everywhere."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main["settings"]
        self._clock = clock
        self._values: dict[str, Any] = {}
        self._read_at: datetime | None = None
        self._changes = 0

    def get(self, key: str) -> Any:
        """The value in force: the stored one, else the default; None for a key that is neither."""
        return self._fresh().get(key, DEFAULTS.get(key))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values in force of several keys."""
        stored = self._fresh()
        return {key: stored.get(key, DEFAULTS.get(key)) for key in keys}

    def stored(self, key: str | None = None) -> dict[str, Stored]:
        """What is stored at this moment, of one key or of all.

        Left out is what cannot be in force: what is encrypted, marked so or not, and what a key does not take.
        """
        wanted: Document = {"encrypted": {"$ne": True}}
        if key is not None:
            wanted["key"] = key
        fields = {"_id": 0, "key": 1, "value": 1, "enumerable": 1}
        rows = self._collection.find(wanted, fields, max_time_ms=_READ_MS)
        values = ((row, _usable(row["key"], _parsed(row.get("value")))) for row in rows)
        return {
            row["key"]: Stored(value, bool(row.get("enumerable")))
            for row, value in values
            if value is not None
        }

    def put(self, key: str, value: Any) -> None:
        """Store a value, as the JSON text that WildDuck reads."""
        try:
            self._upsert(key, value)
        except DuplicateKeyError:
            self._upsert(key, value)
        self._forget()

    def _upsert(self, key: str, value: Any) -> None:
        self._collection.update_one(
            {"key": key},
            {
                "$set": {"value": json.dumps(value), "encrypted": False},
                "$setOnInsert": {"created": self._clock(), "enumerable": True},
            },
            upsert=True,
        )

    def delete(self, key: str) -> bool:
        """Put the default in force again; whether a value was stored."""
        deleted = self._collection.delete_many({"key": key}).deleted_count
        self._forget()
        return deleted > 0

    def _forget(self) -> None:
        self._changes += 1
        self._read_at = None

    def _fresh(self) -> dict[str, Any]:
        now = self._clock()
        if self._read_at is None or abs(now - self._read_at) > _FRESH:
            changes = self._changes
            self._values = {key: found.value for key, found in self.stored().items()}
            # A value stored while the rows were on their way may not be among them.
            self._read_at = now if changes == self._changes else None
        return self._values


def _parsed(value: Any) -> Any:
    """Old rows hold the value itself, not its JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _usable(key: str, value: Any) -> Any:
    """None for a value that a built-in key does not take, whoever stored it: the default is better than a fault."""
    if isinstance(value, str) and value.startswith(_ENCRYPTED):
        return None
    if key not in SETTINGS:
        return value if isinstance(value, str | int | float | bool) else None
    try:
        return SETTINGS[key].checked(value)
    except ValueError as error:
        log.warning("a stored setting is not used", key=key, reason=str(error))
        return None
