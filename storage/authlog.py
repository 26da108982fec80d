"""The log of log-ins and of changes to an account's security."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from storage.database import Clock, Databases, Document
from storage.settings import Settings

_BUCKET = timedelta(hours=6)
_ALWAYS = ("protocol", "sess", "ip", "result")


class AuthLog:
    """Repository of the log. Like events of an account within six hours share one entry that counts them."""

    def __init__(self, databases: Databases, clock: Clock, settings: Settings) -> None:
        self._collection = databases.users["authlog"]
        self._clock = clock
        self._settings = settings

    def write(self, user: ObjectId, action: str, **fields: Any) -> ObjectId | None:
        """Log an event; returns the entry's id, or None where the setting switches the log off.

        The entry's id follows from account, kind and bucket of time, so that events at one moment meet in it.
        """
        keep = self._settings.get("const:authlog:time")
        if not keep:
            return None
        now = self._clock()
        entry = {"action": action, **dict.fromkeys(_ALWAYS), **fields}
        key = event_key(entry)
        since = now - _BUCKET
        merged = self._collection.find_one_and_update(
            {"user": user, "key": key, "created": {"$gte": since}},
            {"$inc": {"events": 1}, "$set": {"last": now}},
            {"_id": 1},
        )
        return merged["_id"] if merged else self._insert(user, key, entry, now, keep)

    def _insert(self, user: ObjectId, key: bytes, entry: Document, now: datetime, keep: float) -> ObjectId:
        fresh = {"created": now, "expires": now + timedelta(milliseconds=keep), **entry}
        same_event = {"_id": _bucket_id(user, key, now), "user": user, "key": key}
        update = {"$setOnInsert": fresh, "$inc": {"events": 1}, "$set": {"last": now}}
        for _ in range(2):
            try:
                row = self._collection.find_one_and_update(
                    same_event, update, {"_id": 1}, upsert=True, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError:
                continue
            assert row is not None
            return ObjectId(row["_id"])
        raise RuntimeError("an entry of the log is neither there nor to be made")


def event_key(entry: Document) -> bytes:
    """What makes two events alike: MD5 of protocol, ip, action, result and target, joined by `^`."""
    parts = (entry.get(name) or "" for name in ("protocol", "ip", "action", "result", "target"))
    return hashlib.md5("^".join(parts).encode(), usedforsecurity=False).digest()


def _bucket_id(user: ObjectId, key: bytes, now: datetime) -> ObjectId:
    """An ObjectId with the time of now rounded to the minute, and a hash of account and kind behind it."""
    minute = now.replace(second=0, microsecond=0)
    tail = hashlib.sha256(user.binary + key).digest()[:8]
    return ObjectId(int(minute.timestamp()).to_bytes(4, "big") + tail)
