"""Settings that operators change while the service runs; those not set have a built-in default."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from storage.database import Clock, Databases

_FRESH_SECONDS = 3.0
_DAY_MS = 86_400_000
_GIB = 1_073_741_824

DEFAULTS: Mapping[str, Any] = {
    "const:archive:time": 25 * _DAY_MS,
    "const:max:storage": _GIB,
    "const:max:recipients": 2000,
    "const:max:mailboxes": 1500,
    "const:max:rcpt_to": 400,
    "const:max:forwards": 2000,
    "const:authlog:time": 30 * _DAY_MS,
    "const:autoreply:interval": 4 * 3_600_000,
    "const:asp:limit": 50,
    "const:max:imap:download": 10 * _GIB,
    "const:max:pop3:download": 10 * _GIB,
    "const:max:imap:upload": 10 * _GIB,
    "const:max:filters": 400,
    "const:sender:defer_times": "5m, 7m, 8m, 25m, 75m, 2h" + ", 4h" * 11,
    "const:imap:use_wd_worker_channels": False,
    "const:max:bulk_batch_size": 150,
    "const:domaincache:enabled": False,
}


class Settings:
    """Repository of settings. Values are read again after three seconds, so a change is in force soon everywhere."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main["settings"]
        self._clock = clock
        self._values: dict[str, Any] = {}
        self._read_at = float("-inf")

    def get(self, key: str) -> Any:
        """The value in force: the stored one, else the default; None for a key that is neither."""
        return self._fresh().get(key, DEFAULTS.get(key))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values in force of several keys."""
        stored = self._fresh()
        return {key: stored.get(key, DEFAULTS.get(key)) for key in keys}

    def put(self, key: str, value: Any) -> None:
        """Store a value, as the JSON text that WildDuck reads."""
        self._collection.update_one(
            {"key": key},
            {
                "$set": {"value": json.dumps(value), "encrypted": False},
                "$setOnInsert": {"created": self._clock(), "enumerable": True},
            },
            upsert=True,
        )
        self._read_at = float("-inf")

    def delete(self, key: str) -> bool:
        """Put the default in force again; whether a value was stored."""
        deleted = self._collection.delete_many({"key": key}).deleted_count
        self._read_at = float("-inf")
        return deleted > 0

    def _fresh(self) -> dict[str, Any]:
        now = time.monotonic()
        if now - self._read_at > _FRESH_SECONDS:
            rows = self._collection.find({"encrypted": {"$ne": True}}, {"_id": 0, "key": 1, "value": 1})
            self._values = {row["key"]: _parsed(row["value"]) for row in rows}
            self._read_at = now
        return self._values


def _parsed(value: Any) -> Any:
    """Old rows hold the value itself, not its JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
