"""Renaming a domain wherever it stands.

It goes in batches, each of them whole, and may be repeated at any time: what is renamed is not found again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from problems import AddressExists
from storage.addresses.addresses import HeldNames
from storage.addresses.documents import Address, Domain
from storage.addresses.domain_aliases import DomainAliases
from storage.base.database import Clock, Databases, Session, Transactions, has_duplicate, holding
from storage.base.listing import literal
from storage.events.events import Events
from storage.keys.dkim import Dkim

_SCAN_MS = 30_000


@dataclass(frozen=True, slots=True)
class Renamed:
    """How many documents of each kind changed."""

    addresses: int
    users: int
    dkim: int
    aliases: int


@dataclass(frozen=True, slots=True)
class AddressMove:
    """An account's address that gets another form."""

    user: ObjectId
    old: str
    new: str


class MainAddresses(Protocol):
    """The accounts, whose main addresses are renamed, too."""

    def move_addresses(self, moves: Sequence[AddressMove], session: Session = None) -> int:
        """Give main addresses their new form, and return how many accounts changed."""
        ...


class DomainRename:
    """The one step that goes over the addresses of all accounts, `batch` of them at a time."""

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        transactions: Transactions,
        events: Events,
        users: MainAddresses,
        aliases: DomainAliases,
        dkim: Dkim,
        batch: int = 500,
    ) -> None:
        self._addresses = holding(databases.users["addresses"], Address)
        self._users = users
        self._aliases = aliases
        self._domains = holding(databases.users["domaincache"], Domain)
        self._dkim = dkim
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
        renamed = Renamed(addresses, users, self._dkim.rename(old, new), self._aliases.rename(old, new))
        # Last: a rename that broke off is emitted when it is repeated.
        self._events.emit("address.domain.renamed", previous=old, current=new)
        return renamed

    def _batches(self, domain: str) -> Iterator[list[Address]]:
        """All addresses of a domain, in the order of the index."""
        last = ""
        while batch := self._batch(domain, last):
            yield batch
            last = batch[-1]["addrview"]

    def _batch(self, domain: str, last: str) -> list[Address]:
        wanted = {"addrview": {"$gt": last, "$regex": f"@{literal(domain)}$"}}
        fields = {"address": 1, "addrview": 1, "user": 1}
        rows = self._addresses.find(wanted, fields, limit=self._size, max_time_ms=_SCAN_MS)
        return list(rows.sort("addrview", 1))

    def _refuse_conflicts(self, batch: list[Address], new: str, session: Session = None) -> None:
        views = [_at(row["addrview"], new) for row in batch]
        taken = self._addresses.find_one({"addrview": {"$in": views}}, {"_id": 1}, session=session)
        if taken or self._held.has_address(views, session):
            raise AddressExists

    def _move(self, batch: list[Address], new: str) -> tuple[int, int]:
        try:
            return self._transactions.run(lambda session: self._move_in(batch, new, session))
        except BulkWriteError as error:
            if has_duplicate(error):
                raise AddressExists from error
            raise

    def _move_in(self, batch: list[Address], new: str, session: Session) -> tuple[int, int]:
        self._refuse_conflicts(batch, new, session)
        main = self._move_main([row for row in batch if row.get("user")], new, session)
        addresses = [
            UpdateOne(
                {"_id": row["_id"], "address": row["address"]},
                {"$set": {"address": _at(row["address"], new), "addrview": _at(row["addrview"], new)}},
            )
            for row in batch
        ]
        return self._addresses.bulk_write(addresses, ordered=False, session=session).modified_count, main

    def _move_main(self, owned: list[Address], new: str, session: Session) -> int:
        """Main addresses come first: an address that still has its old name is found again after a crash."""
        moves = [AddressMove(row["user"], row["address"], _at(row["address"], new)) for row in owned]
        return self._users.move_addresses(moves, session)


def _at(address: str, domain: str) -> str:
    return f"{address.rpartition('@')[0]}@{domain}"
