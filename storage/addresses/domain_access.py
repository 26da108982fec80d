"""Sender domains that accounts with a tag always or never trust."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from problems import DomainNotFound
from storage.addresses.documents import DomainRule
from storage.base.database import Change, Condition, Databases, holding

_READ_MS = 3000
ALLOW, BLOCK = "allow", "block"
_ACTIONS = [ALLOW, BLOCK]


class DomainAccess:
    """Repository of both lists. A domain stands on one of the two lists of a tag, once."""

    def __init__(self, databases: Databases) -> None:
        self._collection = holding(databases.main["domainaccess"], DomainRule)

    def put(self, tag: str, domain: str, action: str) -> ObjectId:
        """Put a normalized domain on a list of a tag, taking it off the other; the entry's id.

        The id of a new entry follows from tag and domain, so that two made at one moment meet in it: there is no
        unique index to keep them apart, because WildDuck has none.
        """
        view = tag.lower()
        wanted = {"tagview": view, "action": {"$in": _ACTIONS}, "domain": domain}
        change = {
            "$set": {"action": action},
            "$setOnInsert": {"_id": _entry_id(view, domain), "tag": tag, "tagview": view, "domain": domain},
        }
        try:
            return self._upsert(wanted, change)
        except DuplicateKeyError:
            return self._upsert(wanted, change)

    def _upsert(self, condition: Condition, change: Change) -> ObjectId:
        row = self._collection.find_one_and_update(
            condition, change, {"_id": 1}, upsert=True, return_document=ReturnDocument.AFTER
        )
        assert row is not None
        return ObjectId(row["_id"])

    def listed(self, tag: str, action: str) -> list[DomainRule]:
        """The entries of one list of a tag, by domain."""
        wanted = {"tagview": tag.lower(), "action": action}
        return list(
            self._collection.find(wanted, {"domain": 1, "action": 1}, max_time_ms=_READ_MS).sort("domain", 1)
        )

    def decide(self, tags: Sequence[str], domain: str) -> DomainRule | None:
        """The entry that holds for mail from a normalized domain to an account with these tags, in any case.

        Where tags disagree, trust wins: mail that nobody sees does more harm than spam.
        """
        wanted = {
            "tagview": {"$in": [tag.lower() for tag in tags]},
            "action": {"$in": _ACTIONS},
            "domain": domain,
        }
        rows = self._collection.find(wanted, max_time_ms=_READ_MS)
        return min(rows, key=lambda row: (row["action"], row["tagview"]), default=None)

    def delete(self, entry: ObjectId) -> None:
        """Take an entry off its list. Raises DomainNotFound."""
        if not self._collection.delete_one({"_id": entry}).deleted_count:
            raise DomainNotFound


def _entry_id(view: str, domain: str) -> ObjectId:
    return ObjectId(hashlib.sha256(f"{view}\0{domain}".encode()).digest()[:12])
