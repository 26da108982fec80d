"""The addresses that an account has exchanged mail with, for completion while one types."""

from __future__ import annotations

from collections.abc import Mapping

from bson import ObjectId
from pymongo import UpdateOne

from security.normalise import normalise_address, view
from storage.database import Clock, Databases, Document


class AddressRegister:
    """Repository of the register."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main["addressregister"]
        self._clock = clock

    def note(self, user: ObjectId, names: Mapping[str, str]) -> None:
        """Enter addresses, each with a name that may be empty; those that the user has hidden stay as they are."""
        wanted = {
            view(normalise_address(address)): (address, name) for address, name in names.items() if address
        }
        hidden = self._hidden(user, list(wanted))
        updates = [
            self._update(user, addrview, *entry)
            for addrview, entry in wanted.items()
            if addrview not in hidden
        ]
        if updates:
            self._collection.bulk_write(updates, ordered=False)

    def _hidden(self, user: ObjectId, views: list[str]) -> set[str]:
        rows = self._collection.find(
            {"user": user, "addrview": {"$in": views}, "disabled": True}, {"addrview": 1}
        )
        return {row["addrview"] for row in rows}

    def _update(self, user: ObjectId, addrview: str, address: str, name: str) -> UpdateOne:
        changes: Document = {"updated": self._clock(), **({"name": name} if name else {})}
        fresh = {"address": normalise_address(address)}
        return UpdateOne(
            {"user": user, "addrview": addrview, "disabled": False},
            {"$set": changes, "$setOnInsert": fresh},
            upsert=True,
        )
