"""Domain aliases at rest: races, and how listings are read."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from bson import ObjectId

from problems import Problem
from storage.addresses.domain_aliases import DomainAliases
from storage.base.paging import Paging
from storage.store import Store
from tests.storage.conftest import together
from tests.storage.profiler import assert_indexed, profiled


@pytest.fixture(params=["replica set", "lone server"])
def aliases(request: pytest.FixtureRequest, store: Store, lone_store: Store) -> DomainAliases:
    """The repository, with transactions and without."""
    return (store if request.param == "replica set" else lone_store).domain_aliases


def domain() -> str:
    """A domain that no other test uses."""
    return f"d{ObjectId()}.example"


def outcome(aliases: DomainAliases, alias: str, target: str) -> str:
    try:
        aliases.create(alias, target)
    except Problem as problem:
        return problem.code
    return "made"


def chains(store: Store, names: list[str]) -> list[Any]:
    """Those aliases of the given names that another alias leads to."""
    rows = list(store.databases.users["domainaliases"].find({"alias": {"$in": names}}))
    targets = {row["domain"] for row in rows}
    return [row for row in rows if row["alias"] in targets]


def test_one_of_many_at_once_makes_an_alias(aliases: DomainAliases) -> None:
    alias = domain()
    outcomes = together(32, lambda number: outcome(aliases, alias, f"{number}.{alias}"))
    assert Counter(outcomes) == {"made": 1, "AliasExists": 31}


def test_halves_of_a_circle_made_at_one_moment(aliases: DomainAliases, store: Store) -> None:
    for _ in range(10):
        one, other = domain(), domain()
        pairs = [(one, other), (other, one)]
        outcomes = Counter(together(2, lambda n, pairs=pairs: outcome(aliases, *pairs[n])))
        assert outcomes["made"] <= 1
        assert outcomes["made"] + outcomes["AliasChain"] == 2
        assert chains(store, [one, other]) == []


def test_with_transactions_one_half_wins(store: Store) -> None:
    for _ in range(10):
        names = [domain() for _ in range(3)]
        pairs = list(itertools.pairwise(names))
        outcomes = Counter(together(2, lambda n, pairs=pairs: outcome(store.domain_aliases, *pairs[n])))
        assert outcomes == {"made": 1, "AliasChain": 1}
        assert chains(store, names) == []


def test_a_refused_alias_leaves_nothing(store: Store) -> None:
    one, other, third = domain(), domain(), domain()
    store.domain_aliases.create(one, other)
    assert outcome(store.domain_aliases, third, one) == "AliasChain"
    assert store.databases.users["domaincache"].count_documents({"domain": third}) == 0
    assert store.databases.users["domainaliases"].count_documents({"alias": third}) == 0


def test_a_page_is_read_in_the_order_of_the_index(store: Store) -> None:
    for _ in range(30):
        store.domain_aliases.create(domain(), "target.example")
    cursors: list[str] = []

    def walk() -> None:
        paging = Paging(limit=3, next=cursors[-1] if cursors else None)
        cursors.append(str(store.domain_aliases.page("", paging)[0].next_cursor))

    entries = profiled(store.databases.users, "domainaliases", lambda: [walk() for _ in range(3)])
    pages = [entry for entry in entries if "find" in entry["command"]]
    assert len(pages) == 3
    for entry in pages:
        assert_indexed(entry, most=5)


def test_a_text_is_looked_for_in_the_indexes(store: Store) -> None:
    marks = [f"needle-{domain()}" for _ in range(3)]
    for number in range(30):
        store.domain_aliases.create(domain(), marks[number] if number < 3 else "target.example")
    entries = profiled(
        store.databases.users, "domainaliases", lambda: store.domain_aliases.page("needle", Paging(limit=2))
    )
    total = next(entry for entry in entries if "aggregate" in entry["command"])
    assert_indexed(total, most=3)
    (rows,) = (entry for entry in entries if "find" in entry["command"])
    assert "COLLSCAN" not in rows["planSummary"]


def test_unknown_names_and_ids(store: Store) -> None:
    for look in (
        lambda: store.domain_aliases.get(ObjectId()),
        lambda: store.domain_aliases.delete(ObjectId()),
        lambda: store.domain_aliases.id_of("$ne"),
    ):
        with pytest.raises(Problem, match="AliasNotFound"):
            look()
