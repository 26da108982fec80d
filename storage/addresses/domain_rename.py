"""Renaming a domain wherever it stands.

It goes in batches, each of them whole, and may be repeated at any time: what is renamed is not found again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError

from problems import AddressExists
from storage.accounts.held_names import HeldNames
from storage.base.database import Clock, Databases, Document, Transactions
from storage.base.patterns import literal
from storage.events.events import Events

_SCAN_MS = 30_000
_DUPLICATE_KEY = 11000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Renamed:
    """How many documents of each kind changed."""

    addresses: int
    users: int
    dkim: int
    aliases: int


class DomainRename:
    """The one step that goes over the addresses of all accounts, `batch` of them at a time."""

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        transactions: Transactions,
        events: Events,
        batch: int = 500,
    ) -> None:
        self._addresses = databases.users["addresses"]
        self._users = databases.users["users"]
        self._aliases = databases.users["domainaliases"]
        self._domains = databases.users["domaincache"]
        self._dkim = databases.main["dkim"]
        self._held = HeldNames(databases, clock)
        self._transactions = transactions
        self._events = events
        self._size = batch

    def run(self, old: str, new: str) -> Renamed:
        """Rename a normalized domain.

        Raises AddressExists, with nothing changed, where an address would come to exist twice. One
        that is made meanwhile stops it, too; what is renamed by then stays so.
        """
        for batch in self._batches(old):
            self._refuse_conflicts(batch, new)
        self._domains.update_one({"domain": new}, {"$setOnInsert": {"domain": new}}, upsert=True)
        addresses = users = 0
        for batch in self._batches(old):
            moved = self._move(batch, new)
            addresses, users = addresses + moved[0], users + moved[1]
        renamed = Renamed(addresses, users, self._rename_key(old, new), self._rename_aliases(old, new))
        # Last: a rename that broke off is told when it is repeated.
        self._events.emit("address.domain.renamed", previous=old, current=new)
        return renamed

    def _batches(self, domain: str) -> Iterator[list[Document]]:
        """All addresses of a domain, in the order of the index."""
        last = ""
        while batch := self._batch(domain, last):
            yield batch
            last = batch[-1]["addrview"]

    def _batch(self, domain: str, last: str) -> list[Document]:
        wanted = {"addrview": {"$gt": last, "$regex": f"@{literal(domain)}$"}}
        fields = {"address": 1, "addrview": 1, "user": 1}
        rows = self._addresses.find(wanted, fields, limit=self._size, max_time_ms=_SCAN_MS)
        return list(rows.sort("addrview", 1))

    def _refuse_conflicts(
        self, batch: list[Document], new: str, session: ClientSession | None = None
    ) -> None:
        views = [_at(row["addrview"], new) for row in batch]
        taken = self._addresses.find_one({"addrview": {"$in": views}}, {"_id": 1}, session=session)
        if taken or self._held.has_address(views, session):
            raise AddressExists

    def _move(self, batch: list[Document], new: str) -> tuple[int, int]:
        try:
            return self._transactions.run(lambda session: self._move_in(batch, new, session))
        except BulkWriteError as error:
            if any(fault["code"] == _DUPLICATE_KEY for fault in error.details["writeErrors"]):
                raise AddressExists from error
            raise

    def _move_in(self, batch: list[Document], new: str, session: ClientSession | None) -> tuple[int, int]:
        self._refuse_conflicts(batch, new, session)
        main = self._move_main([row for row in batch if row.get("user")], new, session)
        addresses = [
            _change(
                {"_id": row["_id"], "address": row["address"]},
                {"address": _at(row["address"], new), "addrview": _at(row["addrview"], new)},
            )
            for row in batch
        ]
        return self._addresses.bulk_write(addresses, ordered=False, session=session).modified_count, main

    def _move_main(self, owned: list[Document], new: str, session: ClientSession | None) -> int:
        """Main addresses come first: an address that still has its old name is found again after a crash.

        All owners are written to: a transaction that makes one of the addresses the main one has to wait.
        """
        if not owned:
            return 0
        users = {"_id": {"$in": [row["user"] for row in owned]}}
        self._users.update_many(users, {"$inc": {"mallard.addressChanges": 1}}, session=session)
        changes = [
            _change({"_id": row["user"], "address": row["address"]}, {"address": _at(row["address"], new)})
            for row in owned
        ]
        return self._users.bulk_write(changes, ordered=False, session=session).modified_count

    def _rename_key(self, old: str, new: str) -> int:
        """A key that the new domain has already is in use there and stays; so does the old one."""
        try:
            return self._dkim.update_one({"domain": old}, {"$set": {"domain": new}}).modified_count
        except DuplicateKeyError:
            log.warning("the new domain has a DKIM key of its own", previous=old, current=new)
            return 0

    def _rename_aliases(self, old: str, new: str) -> int:
        """Aliases lead to the new name. One that has this name itself has become the domain and ends."""
        ended = self._aliases.delete_one({"alias": new, "domain": {"$in": [old, new]}}).deleted_count
        return ended + self._aliases.update_many({"domain": old}, {"$set": {"domain": new}}).modified_count


def _at(address: str, domain: str) -> str:
    return f"{address.rpartition('@')[0]}@{domain}"


def _change(wanted: Document, fields: Document) -> UpdateOne:
    return UpdateOne(wanted, {"$set": fields})
