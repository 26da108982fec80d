"""Leases (leader election): of all processes one at a time does what a lease is named after."""

from __future__ import annotations

import secrets
from datetime import timedelta

from pymongo.errors import DuplicateKeyError

from storage.base.database import Clock, Databases


class Leases:
    """Repository of leases. One whose holder dies ends after the time that it was taken for.

    The collection has the name that it had before, `locks`.
    """

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main["locks"]
        self._clock = clock

    def take(self, name: str, duration: timedelta) -> str | None:
        """Take a lease; returns the token to renew and release it with, None where another holder has it."""
        now = self._clock()
        owner = secrets.token_hex(12)
        change = {"$set": {"owner": owner, "expires": now + duration}}
        try:
            self._collection.update_one({"_id": name, "expires": {"$lte": now}}, change, upsert=True)
        except DuplicateKeyError:
            return None
        return owner

    def renew(self, name: str, owner: str, duration: timedelta) -> bool:
        """Hold a lease for longer. Return whether it was still the owner's."""
        now = self._clock()
        condition = {"_id": name, "owner": owner, "expires": {"$gt": now}}
        change = {"$set": {"expires": now + duration}}
        return self._collection.update_one(condition, change).matched_count > 0

    def release(self, name: str, owner: str) -> None:
        """Let go of a lease, if it is still the owner's."""
        self._collection.delete_one({"_id": name, "owner": owner})
