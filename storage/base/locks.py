"""Locks between processes: one at a time does what a lock is named after."""

from __future__ import annotations

import secrets
from datetime import timedelta

from pymongo.errors import DuplicateKeyError

from storage.base.database import Clock, Databases


class Locks:
    """Repository of locks. A holder that dies holds its lock no longer than it took it for."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main["locks"]
        self._clock = clock

    def take(self, name: str, duration: timedelta) -> str | None:
        """Take a lock; the owner's mark to renew and release it with, None where somebody else has it."""
        now = self._clock()
        owner = secrets.token_hex(12)
        change = {"$set": {"owner": owner, "expires": now + duration}}
        try:
            self._collection.update_one({"_id": name, "expires": {"$lte": now}}, change, upsert=True)
        except DuplicateKeyError:
            return None
        return owner

    def renew(self, name: str, owner: str, duration: timedelta) -> bool:
        """Hold a lock for longer; whether it was still the owner's."""
        now = self._clock()
        wanted = {"_id": name, "owner": owner, "expires": {"$gt": now}}
        change = {"$set": {"expires": now + duration}}
        return self._collection.update_one(wanted, change).matched_count > 0

    def release(self, name: str, owner: str) -> None:
        """Let go of a lock, if it is still the owner's."""
        self._collection.delete_one({"_id": name, "owner": owner})
