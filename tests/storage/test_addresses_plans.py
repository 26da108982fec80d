"""Listings of addresses and the register are answered from indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId

from storage.addresses.addresses import listing_filter
from storage.base.paging import Paging
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account
from tests.storage.plans import examined, indexes, plans

MANY = 2000


@pytest.fixture(scope="module")
def crowd(store: Store) -> Iterator[Account]:
    """An account with ten addresses of 2,000, of which few have a tag or forward."""
    account = Account(store)
    other = ObjectId()
    rows = [row(number, account.id if number % 200 == 0 else other) for number in range(MANY)]
    collection = store.databases.users["addresses"]
    inserted = collection.insert_many(rows).inserted_ids
    yield account
    collection.delete_many({"_id": {"$in": inserted}})


def row(number: int, user: ObjectId) -> Row:
    address = f"n.{number:04}@crowd.example"
    common = {"address": address, "addrview": address.replace("n.", "n"), "created": user.generation_time}
    if number % 500 == 3:
        return {**common, "targets": [{"id": ObjectId(), "type": "mail", "value": f"Rare{number}@x.example"}]}
    tags = {"tags": ["Rare"], "tagsview": ["rare"]} if number % 400 == 7 else {}
    return {**common, "user": user, **tags}


def page(store: Store, fields: Row, own: ObjectId | None = None, **paging: Any) -> Any:
    return store.addresses.page(listing_filter(fields, own), Paging(5, **paging))


def test_a_page_reads_what_it_shows(store: Store, crowd: Account) -> None:
    (plan,) = plans(store, lambda: page(store, {}))
    assert (indexes(plan), examined(plan)) == ({"address_paging"}, 6)


@pytest.mark.parametrize("direction", ["next", "previous"])
def test_so_does_a_page_in_the_middle(store: Store, crowd: Account, direction: str) -> None:
    cursor = page(store, {})[0].next_cursor
    for _ in range(100):
        cursor = page(store, {}, next=cursor)[0].next_cursor
    (plan,) = plans(store, lambda: page(store, {}, **{direction: cursor}))
    assert indexes(plan) <= {"address_paging", "address_dotless"}
    assert examined(plan) <= 7, "the rows before are not read again"


@pytest.mark.parametrize(
    ("fields", "used", "matching"),
    [
        ({"query": "n.1234@CROWD"}, {"address_paging", "address_dotless"}, 1),
        ({"query": "n.199"}, {"address_paging", "address_dotless"}, 10),
        ({"query": "nothing.like@this"}, {"address_paging", "address_dotless"}, 0),
        ({"forward": "RARE"}, {"address_targets"}, 4),
        ({"tags": "rare,rarer"}, {"address_tags"}, 5),
        ({"requiredTags": "rare"}, {"address_tags"}, 5),
    ],
)
def test_a_filter_reads_what_matches(
    store: Store, crowd: Account, fields: Row, used: set[str], matching: int
) -> None:
    found = plans(store, lambda: page(store, fields))
    assert page(store, fields)[1] == matching
    assert len(found) == 2, "the total and the rows"
    for plan in found:
        assert indexes(plan) <= used
        assert examined(plan) <= matching


def test_an_account_reads_its_own(store: Store, crowd: Account) -> None:
    count, rows = plans(store, lambda: page(store, {}, crowd.id))
    assert (indexes(count), examined(count)) == ({"user"}, 0), "the index alone tells how many"
    assert (indexes(rows), examined(rows)) == ({"user"}, 10)


def test_the_register_stops_when_it_has_enough(store: Store, ada: Account) -> None:
    register = store.databases.main["addressregister"]
    now = store.clock()
    rows = [
        {
            "user": ada.id,
            "address": f"n{n}@x.example",
            "addrview": f"n{n}@x.example",
            "updated": now,
            "disabled": False,
        }
        for n in range(1000)
    ]
    register.insert_many(rows)
    for query, most in (("x.example", 20), ("n77@", 1), ("nobody", 0)):
        found = plans(store, lambda query=query: store.address_register.search(ada.id, query, 20))
        assert [indexes(plan) for plan in found] == [{"completion"}] * 2
        assert sum(map(examined, found)) == most


def test_a_look_up_reads_what_it_finds(store: Store, crowd: Account) -> None:
    alias, found = plans(store, lambda: store.addresses.resolve("n0001@crowd.example", wildcards=True))
    assert (indexes(alias), examined(alias)) == ({"domainalias"}, 0)
    assert (indexes(found) <= {"address_dotless", "address_paging"}, examined(found)) == (True, 1)
