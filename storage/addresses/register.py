"""The addresses that an account has exchanged mail with, for completion while one types."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from operator import itemgetter

from bson import ObjectId
from pymongo import UpdateOne

from security.normalize import domain_of, normalize_address, search_text, view
from storage.addresses.documents import KnownAddress
from storage.base.database import (
    Change,
    Clock,
    Condition,
    Databases,
    delete_rows_of,
    holding,
)
from storage.base.listing import literal

_READ_MS = 3000
_NO_REPLY = ("noreply", "no-reply")


class AddressRegister:
    """Repository of the register."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = holding(databases.main["addressregister"], KnownAddress)
        self._clock = clock

    def note(self, user: ObjectId, names: Mapping[str, str]) -> None:
        """Enter addresses, each with a name that may be empty; those that the user has hidden stay as they are.

        Addresses that take no mail are left out.
        """
        wanted = {
            view(normalize_address(address)): (address, name)
            for address, name in names.items()
            if domain_of(normalize_address(address)) and not _is_machine(address)
        }
        known, hidden = self._known(user, list(wanted))
        updates = [
            self._update(user, known.get(addrview), *entry)
            for addrview, entry in wanted.items()
            if addrview not in hidden
        ]
        if updates:
            self._collection.bulk_write(updates, ordered=False)

    def _known(self, user: ObjectId, views: list[str]) -> tuple[dict[str, ObjectId], set[str]]:
        """The ids of the entries, and the addresses that are hidden."""
        wanted = {"user": user, "addrview": {"$in": views}}
        rows = list(self._collection.find(wanted, {"addrview": 1, "disabled": 1}, max_time_ms=_READ_MS))
        hidden = {row["addrview"] for row in rows if row.get("disabled")}
        return {row["addrview"]: row["_id"] for row in rows}, hidden

    def _update(self, user: ObjectId, entry: ObjectId | None, address: str, name: str) -> UpdateOne:
        normal = normalize_address(address)
        addrview = view(normal)
        changes: Change = {"updated": self._clock(), **({"name": name} if name else {})}
        fresh = {"user": user, "addrview": addrview, "address": normal, "disabled": False}
        return UpdateOne(
            {"_id": entry or entry_id(user, addrview)}, {"$set": changes, "$setOnInsert": fresh}, upsert=True
        )

    def delete_some(self, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` entries of a deleted account, and return how many there were."""
        return delete_rows_of(self._collection, user, limit)

    def search(self, user: ObjectId, query: str, limit: int) -> list[KnownAddress]:
        """Entries with this text in the address or at the start of the name, the last used first.

        Two queries, as the database looks at one field in the index before it reads a document, but not at two.
        """
        either = (
            {"address": {"$regex": literal(search_text(query))}},
            {"name": {"$regex": f"^{literal(query)}", "$options": "i"}},
        )
        found = {row["_id"]: row for wanted in either for row in self._last_used(user, wanted, limit)}
        return sorted(found.values(), key=itemgetter("updated"), reverse=True)[:limit]

    def _last_used(self, user: ObjectId, condition: Condition, limit: int) -> list[KnownAddress]:
        rows = self._collection.find(
            {"user": user, "disabled": {"$ne": True}, **condition},
            {"address": 1, "name": 1, "updated": 1},
            limit=limit,
            max_time_ms=_READ_MS,
        )
        return list(rows.sort("updated", -1))


def _is_machine(address: str) -> bool:
    return any(word in address.lower() for word in _NO_REPLY)


def entry_id(user: ObjectId, addrview: str) -> ObjectId:
    """The id of a new entry. It follows from what is entered, so that parallel writers make one entry."""
    return ObjectId(sha256(user.binary + addrview.encode()).digest()[:12])
