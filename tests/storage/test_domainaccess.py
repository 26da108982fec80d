"""Lists of trusted and distrusted domains at rest."""

from __future__ import annotations

import pytest
from bson import ObjectId

from problems import Problem
from storage.addresses.domain_access import ALLOW, BLOCK
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import together
from tests.storage.profiler import assert_indexed, profiled


def tag() -> str:
    """A tag that no other test uses."""
    return f"Tag{ObjectId()}"


def rows(store: Store, of: str) -> list[Row]:
    return list(store.databases.main["domainaccess"].find({"tagview": of.lower()}))


def test_a_row_as_it_stands_on_disk(store: Store) -> None:
    staff = tag()
    entry = store.domain_access.put(staff, "example.com", ALLOW)
    assert rows(store, staff) == [
        {"_id": entry, "tag": staff, "tagview": staff.lower(), "domain": "example.com", "action": "allow"}
    ]


def test_the_other_list_takes_the_entry_over(store: Store) -> None:
    staff = tag()
    entry = store.domain_access.put(staff, "example.com", ALLOW)
    assert store.domain_access.put(staff.upper(), "example.com", BLOCK) == entry
    (row,) = rows(store, staff)
    assert (row["tag"], row["action"]) == (staff, "block")


def test_an_entry_of_wildduck_keeps_its_id(store: Store) -> None:
    staff, entry = tag(), ObjectId()
    row = {"_id": entry, "tag": staff, "tagview": staff.lower(), "domain": "example.com", "action": "block"}
    store.databases.main["domainaccess"].insert_one(row)
    assert store.domain_access.put(staff, "example.com", ALLOW) == entry


def test_many_at_once_make_one_entry(store: Store) -> None:
    staff = tag()
    outcomes = together(
        32, lambda n: store.domain_access.put(staff, "example.com", ALLOW if n % 2 else BLOCK)
    )
    (row,) = rows(store, staff)
    assert set(outcomes) == {row["_id"]}


def test_an_entry_made_again_after_its_deletion(store: Store) -> None:
    staff = tag()
    store.domain_access.delete(store.domain_access.put(staff, "example.com", ALLOW))
    assert rows(store, staff) == []
    store.domain_access.put(staff, "example.com", BLOCK)
    assert [row["action"] for row in rows(store, staff)] == ["block"]


def test_what_holds_for_an_account(store: Store) -> None:
    staff, guests = tag(), tag()
    trusted = store.domain_access.put(staff, "example.com", ALLOW)
    store.domain_access.put(guests, "example.com", BLOCK)
    store.domain_access.put(guests, "example.org", BLOCK)

    def decided(tags: list[str], domain: str) -> str | None:
        found = store.domain_access.decide(tags, domain)
        return found["action"] if found else None

    assert decided([guests.lower()], "example.com") == "block"
    for tags in ([guests, staff], [staff, guests]):
        found = store.domain_access.decide(tags, "example.com")
        assert found
        assert (found["_id"], found["action"]) == (trusted, "allow")
    assert decided([staff], "example.org") is None
    assert decided([staff], "sub.example.com") is None
    assert decided([], "example.com") is None


def test_lists_and_decisions_are_read_through_the_index(store: Store) -> None:
    staff = tag()
    for number in range(30):
        store.domain_access.put(staff, f"{number:02}.example", ALLOW if number % 2 else BLOCK)

    def work() -> None:
        assert len(store.domain_access.listed(staff, ALLOW)) == 15
        assert store.domain_access.decide([staff], "03.example")
        store.domain_access.put(staff, "03.example", BLOCK)

    listing, decision, change = profiled(store.databases.main, "domainaccess", work)
    assert_indexed(listing, most=15)
    assert_indexed(decision, most=1)
    assert_indexed(change, most=1)


def test_unknown_ids(store: Store) -> None:
    with pytest.raises(Problem, match="DomainNotFound"):
        store.domain_access.delete(ObjectId())
