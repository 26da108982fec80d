"""Listings of filters read what they show; slots keep the limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId

from problems import Problem
from storage.base.paging import Paging
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account
from tests.storage.plans import examined, indexes, plans

MANY = 2000


@pytest.fixture(scope="module")
def crowd(store: Store) -> Iterator[Account]:
    """An account with ten filters of 2,000, of which four forward."""
    account = Account(store)
    box = account.box()["_id"]
    rows = [row(number, account.id if number % 200 == 0 else ObjectId(), box) for number in range(MANY)]
    collection = store.databases.main["filters"]
    inserted = collection.insert_many(rows).inserted_ids
    yield account
    collection.delete_many({"_id": {"$in": inserted}})


def row(number: int, user: ObjectId, box: ObjectId) -> Row:
    targets = [{"id": ObjectId(), "type": "mail", "value": f"Rare{number}@x.example"}]
    action = {"targets": targets} if number % 500 == 0 else {"mailbox": box}
    return {
        "user": user,
        "query": {"headers": {}},
        "action": action,
        "metaData": "{}",
        "disabled": number == 200,
    }


def page(store: Store, own: ObjectId | None = None, forward: str | None = None, **paging: Any) -> Any:
    return store.filters.page(own, forward, Paging(5, **paging), meta_data=False)


def test_a_page_reads_what_it_shows(store: Store, crowd: Account) -> None:
    cursor = page(store)[0].next_cursor
    for options in ({}, {"next": cursor}):
        (plan,) = plans(store, lambda o=options: page(store, **o))
        assert examined(plan) == 6


def test_those_of_an_account(store: Store, crowd: Account) -> None:
    count, read = plans(store, lambda: page(store, crowd.id))
    assert (indexes(read), examined(read)) == ({"user_order"}, 6)
    assert examined(count) <= 10
    for work in (lambda: store.filters.of_user(crowd.id), lambda: store.filters.enabled(crowd.id)):
        (plan,) = plans(store, work)
        assert (indexes(plan), examined(plan)) == ({"user_order"}, 10)


@pytest.mark.parametrize(("own", "found"), [(False, 4), (True, 2)])
def test_by_target_only_those_that_match_are_read(
    store: Store, crowd: Account, own: bool, found: int
) -> None:
    shown, total = page(store, crowd.id if own else None, "rARE")
    assert (len(shown.rows), total) == (found, found)
    for plan in plans(store, lambda: page(store, crowd.id if own else None, "rARE")):
        assert examined(plan) <= (10 if own else 4)
        assert indexes(plan) == ({"user_order"} if own else {"forward_target"})


def test_mailboxes_of_all_rows_are_read_at_once(store: Store, crowd: Account) -> None:
    rows = store.filters.of_user(crowd.id)
    (plan,) = plans(store, lambda: store.filters.mailbox_paths(rows))
    assert examined(plan) == 1
    assert set(store.filters.mailbox_paths(rows).values()) == {"INBOX"}
    assert plans(store, lambda: store.filters.mailbox_paths([])) == []


def test_rows_have_only_what_is_shown(store: Store, crowd: Account) -> None:
    assert all(not {"metaData", "mallard"} & found.keys() for found in store.filters.of_user(crowd.id))
    enabled = store.filters.enabled(crowd.id)
    assert len(enabled) == 9
    assert all(found.keys() <= {"_id", "query", "action", "created"} for found in enabled)


def test_a_free_slot_is_taken_again(store: Store, ada: Account) -> None:
    fields: Row = {"query": {"headers": {}}, "action": {}}
    ids = [store.filters.create(ada.id, fields, 3) for _ in range(3)]
    store.filters.delete(ada.id, ids[1])
    store.filters.create(ada.id, fields, 3)
    with pytest.raises(Problem, match="TooMany"):
        store.filters.create(ada.id, fields, 3)
    assert [found["mallard"]["slot"] for found in ada.all("filters")] == [0, 2, 1]
    assert store.filters.create(ada.id, fields, 4)
