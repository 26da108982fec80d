"""The log of log-ins and of changes to an account's security."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from problems import EventNotFound
from storage.accounts.documents import AuthLogEntry
from storage.base.database import Change, Clock, Condition, Databases, Document, holding
from storage.base.listing import page_of
from storage.base.paging import DESCENDING, Order, Page, Paging
from storage.base.settings import Settings

_READ_MS = 3000
_BUCKET = timedelta(hours=6)
_ALWAYS = ("protocol", "sess", "ip", "result")
_WILDDUCK_KEY = ("protocol", "ip", "action", "result", "target")
_ALIKE = (*_WILDDUCK_KEY, "requiredScope", "source", "filter")
_HIDDEN = {"user": 0, "bucket": 0}


class AuthLog:
    """Repository of the log. Like events of an account within six hours share one entry that counts them."""

    def __init__(self, databases: Databases, clock: Clock, settings: Settings) -> None:
        self._collection = holding(databases.users["authlog"], AuthLogEntry)
        self._clock = clock
        self._settings = settings

    def write(self, user: ObjectId, action: str, **fields: Any) -> ObjectId | None:
        """Log an event; returns the entry's id, or None where the setting switches the log off.

        `bucket`, unique for an account, names what makes events alike, and is taken from an entry after six hours:
        callers at one moment find the same entry or make the same one. Of merged events the latest details stay.
        """
        keep = self._settings.get("const:authlog:time")
        if not keep:
            return None
        now = self._clock()
        update = _entry_update({"action": action, **dict.fromkeys(_ALWAYS), **fields}, now, keep)
        same = {"user": user, "bucket": _digest({"action": action, **fields}, _ALIKE).hex()}
        recent = {**same, "created": {"$gt": now - _BUCKET}}
        merged = self._collection.find_one_and_update(recent, update, {"_id": 1})
        return ObjectId(merged["_id"]) if merged else self._begin(same, update, now)

    def _begin(self, same: Condition, update: Change, now: datetime) -> ObjectId:
        """Close the entry of before six hours, and upsert the new one; again if another caller was faster."""
        over = {**same, "created": {"$lte": now - _BUCKET}}
        while True:
            self._collection.update_one(over, {"$unset": {"bucket": ""}})
            try:
                row = self._collection.find_one_and_update(
                    same, update, {"_id": 1}, upsert=True, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError:
                continue
            assert row is not None
            return ObjectId(row["_id"])

    def page(
        self, user: ObjectId, action: str | None, ip: str | None, paging: Paging
    ) -> tuple[Page[AuthLogEntry], int]:
        """A page of an account's entries, newest first, and how many there are."""
        wanted: Document = {"user": user}
        if ip:
            wanted["ip"] = ip
        if action:
            wanted["action"] = action

        return page_of(self._collection, wanted, _HIDDEN, paging, Order(direction=DESCENDING))

    def get(self, user: ObjectId, event: ObjectId) -> AuthLogEntry:
        """An entry of an account. Raises EventNotFound."""
        found = self._collection.find_one({"_id": event, "user": user}, _HIDDEN, max_time_ms=_READ_MS)
        if not found:
            raise EventNotFound
        return found


def _entry_update(entry: Mapping[str, Any], now: datetime, keep: float) -> Change:
    """What makes an entry and what merges an event into it: details that are known replace older ones."""
    known = {name: value for name, value in entry.items() if value is not None}
    fresh: Document = {name: None for name, value in entry.items() if value is None}
    fresh |= {"key": event_key(entry), "created": now, "expires": now + timedelta(milliseconds=keep)}
    return {"$setOnInsert": fresh, "$set": {**known, "last": now}, "$inc": {"events": 1}}


def event_key(entry: Mapping[str, Any]) -> bytes:
    """WildDuck's mark of like events: MD5 of protocol, ip, action, result and target, joined by `^`."""
    return _digest(entry, _WILDDUCK_KEY)


def _digest(entry: Mapping[str, Any], names: tuple[str, ...]) -> bytes:
    parts = (str(entry.get(name) or "") for name in names)
    return hashlib.md5("^".join(parts).encode(), usedforsecurity=False).digest()
