"""A domain is renamed in batches: whole ones, in any state that a crash leaves."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId
from pymongo import monitoring
from pymongo.errors import AutoReconnect
from pymongo.mongo_client import MongoClient

from problems import AddressExists, Problem
from server.processes.mongod import Mongod
from storage.addresses.domain_rename import DomainRename, Renamed
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account, together
from tests.storage.plans import examined, indexes, plans


def domain() -> str:
    """A domain that no other test uses."""
    return f"d{ObjectId()}.example"


def fill(account: Account, here: str, count: int) -> None:
    """The main address of the account, and more of accounts that are not there."""
    account.store.addresses.create(account.id, f"main@{here}", {})
    account.store.users.set_address(account.id, f"main@{here}")
    rows = [
        {"user": ObjectId(), "address": f"n.{number}@{here}", "addrview": f"n{number}@{here}"}
        for number in range(count)
    ]
    account.store.databases.users["addresses"].insert_many(rows)


def addresses_at(store: Store, here: str) -> list[Row]:
    return list(store.databases.users["addresses"].find({"addrview": {"$regex": f"@{here}$"}}))


def small(store: Store, kind: type[DomainRename] = DomainRename) -> Any:
    """One of this kind with small batches."""
    return kind(
        store.databases,
        store.clock,
        store.transactions,
        store.events,
        users=store.users,
        aliases=store.domain_aliases,
        dkim=store.dkim,
        batch=10,
    )


def test_all_batches(account: Account) -> None:
    old, new = domain(), domain()
    fill(account, old, 35)
    assert small(account.store).run(old, new) == Renamed(addresses=36, users=1, dkim=0, aliases=0)
    assert addresses_at(account.store, old) == []
    rows = addresses_at(account.store, new)
    assert {row["addrview"] for row in rows} == {f"n{n}@{new}" for n in range(35)} | {f"main@{new}"}
    assert {row["address"] for row in rows} == {f"n.{n}@{new}" for n in range(35)} | {f"main@{new}"}
    assert account.document["address"] == f"main@{new}"


class Stopped(DomainRename):
    """One whose process ends in the middle: after some batches, or with the accounts of one written."""

    after = 0

    def _move(self, batch: list[Row], new: str) -> tuple[int, int]:
        if self.after == 0:
            self._stop(batch, new)
        self.after -= 1
        return super()._move(batch, new)

    def _stop(self, batch: list[Row], new: str) -> None:
        if not self._transactions.available:
            self._move_main([row for row in batch if row.get("user")], new, None)
        raise AutoReconnect("gone")


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_a_repeated_call_carries_on_after_a_crash(account: Account, batches: int) -> None:
    old, new = domain(), domain()
    fill(account, old, 35)
    stopped = small(account.store, Stopped)
    stopped.after = batches
    with pytest.raises(AutoReconnect):
        stopped.run(old, new)
    assert len(addresses_at(account.store, old)) == 36 - 10 * batches
    assert len(addresses_at(account.store, new)) == 10 * batches
    assert small(account.store).run(old, new).addresses == 36 - 10 * batches
    assert len(addresses_at(account.store, new)) == 36
    assert account.document["address"] == f"main@{new}"


def test_a_conflict_in_the_last_batch_leaves_the_first_alone(account: Account) -> None:
    old, new = domain(), domain()
    fill(account, old, 35)
    account.store.addresses.create(ObjectId(), f"n9@{new}", {})
    with pytest.raises(Problem, match="AddressExistsError"):
        small(account.store).run(old, new)
    assert (len(addresses_at(account.store, old)), len(addresses_at(account.store, new))) == (36, 1)
    assert account.document["address"] == f"main@{old}"


class Overtaken(DomainRename):
    """One where somebody makes an address of the new domain once the conflicts were looked for."""

    made: Row | None = None

    def _move(self, batch: list[Row], new: str) -> tuple[int, int]:
        if self.made is None:
            self.made = {"user": ObjectId(), "address": f"n5@{new}", "addrview": f"n5@{new}"}
            self._addresses.insert_one(self.made)
        return super()._move(batch, new)


def test_one_that_comes_meanwhile_is_kept_and_no_other_is_lost(account: Account) -> None:
    old, new = domain(), domain()
    fill(account, old, 35)
    overtaken = small(account.store, Overtaken)
    with pytest.raises(Problem, match="AddressExistsError"):
        overtaken.run(old, new)
    rest, moved = addresses_at(account.store, old), addresses_at(account.store, new)
    assert overtaken.made in moved
    locals_ = sorted(row["addrview"].partition("@")[0] for row in rest + moved)
    assert locals_ == sorted([*(f"n{n}" for n in range(35)), "n5", "main"])
    assert account.document["address"] in {row["address"] for row in rest + moved}
    account.store.addresses.delete(overtaken.made["_id"])
    small(account.store).run(old, new)
    assert len(addresses_at(account.store, new)) == 36


def test_two_at_once_rename_each_address_once(ada: Account) -> None:
    old, new = domain(), domain()
    fill(ada, old, 35)
    done = together(4, lambda _: small(ada.store).run(old, new))
    assert sum(found.addresses for found in done if isinstance(found, Renamed)) <= 36
    assert {type(found) for found in done} <= {Renamed, AddressExists}
    small(ada.store).run(old, new)
    assert (addresses_at(ada.store, old), len(addresses_at(ada.store, new))) == ([], 36)
    assert ada.document["address"] == f"main@{new}"


def test_a_main_address_made_so_meanwhile_is_renamed_too(ada: Account) -> None:
    """Made the main one by many while the domain goes to and fro."""
    from handlers.addresses import update_user_address
    from handlers.call import Call

    names = [domain(), domain()]
    ids = [ada.store.addresses.create(ada.id, f"a{n}@{names[0]}", {})["_id"] for n in range(4)]
    ada.store.users.set_address(ada.id, f"a0@{names[0]}")

    def one(number: int) -> Any:
        if number % 8 == 0:
            return small(ada.store).run(*(names if number % 16 else reversed(names)))
        return update_user_address(Call(store=ada.store), ada.id, ids[number % 4], {"main": True})

    together(64, one)
    assert ada.document["address"] in {row["address"] for row in ada.store.addresses.of_user(ada.id)}


class Sizes(monitoring.CommandListener):
    """How many updates came in one command at most."""

    most = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "update":
            self.most = max(self.most, len(event.command["updates"]))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Not of interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not of interest."""


def test_batches_are_bounded_and_found_by_the_index(ada: Account, mongod: Mongod) -> None:
    old, new = domain(), domain()
    fill(ada, old, 35)
    sizes = Sizes()
    with MongoClient(mongod.uri, event_listeners=[sizes]) as client:
        small(Store(client, ada.store.databases.names)).run(old, new)
    assert sizes.most == 10
    for plan in plans(ada.store, lambda: small(ada.store)._batch(new, "")):
        assert indexes(plan) <= {"address_dotless", "address_paging"}
        assert examined(plan) == 10
