"""The order in which changes are announced, and what follows the journal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from storage.base.database import DatabaseNames, Databases
from storage.events.feed import Feed, News
from storage.events.updates import PAGE
from storage.store import Store
from tests.storage.conftest import together


def entry(store: Store, user: ObjectId, age: float = 0, **fields: Any) -> ObjectId:
    """An entry whose id was made `age` seconds ago."""
    made = ObjectId.from_datetime(datetime.now(UTC) - timedelta(seconds=age)).binary[:4]
    entry_id = ObjectId(made + ObjectId().binary[4:])
    row = {"_id": entry_id, "user": user, "command": "CREATE", "created": datetime.now(UTC), **fields}
    store.databases.main["journal"].insert_one(row)
    return entry_id


def order(store: Store, user: ObjectId, number: int = 0) -> list[ObjectId]:
    return [row["_id"] for _, row in store.updates.after(user, number)]


def test_a_number_is_given_once_and_never_changes(store: Store) -> None:
    user = ObjectId()
    first = [entry(store, user) for _ in range(3)]
    assert store.updates.catch_up(user) == 3
    late = entry(store, user, age=60)
    assert store.updates.catch_up(user) == store.updates.catch_up(user) == 4
    assert order(store, user) == [*first, late]
    assert order(store, user, store.updates.behind(user, first[1])) == [first[2], late]
    assert order(store, user, store.updates.behind(user, late)) == []


def test_all_that_place_at_once_end_with_one_order_without_gaps(store: Store) -> None:
    user = ObjectId()
    entries = [entry(store, user) for _ in range(60)]
    chosen = [entries[n % 7 :: n % 5 + 1] for n in range(32)]
    results = together(32, lambda n: store.updates.place(user, chosen[n]))
    assert results == [None] * 32
    rows = store.updates.after(user, 0)
    assert [number for number, _ in rows] == list(range(1, len(rows) + 1))
    assert {row["_id"] for _, row in rows} == {e for some in chosen for e in some}


def test_a_reader_never_passes_a_number_that_appears_later(store: Store) -> None:
    """One reads on and on while eight append: what it has read is all there is, in the order of the numbers."""
    user = ObjectId()
    seen: list[ObjectId] = []

    def work(task: int) -> None:
        if task:
            for _ in range(10):
                store.updates.place(user, [entry(store, user)])
            return
        number, deadline = 0, time.monotonic() + 30
        while len(seen) < 80 and time.monotonic() < deadline:
            rows = store.updates.after(user, number)
            seen.extend(row["_id"] for _, row in rows)
            number = rows[-1][0] if rows else number

    assert together(9, work) == [None] * 9
    assert seen == order(store, user)
    assert len(seen) == 80


def test_numbers_go_on_when_all_rows_have_expired(store: Store) -> None:
    user = ObjectId()
    for _ in range(3):
        entry(store, user)
    store.updates.catch_up(user)
    store.databases.main["updates"].delete_many({"user": user, "n": {"$gt": 0}})
    store.databases.main["journal"].delete_many({"user": user})
    fresh = entry(store, user)
    assert store.updates.catch_up(user) == 4
    assert order(store, user, 3) == [fresh]


def test_an_entry_that_has_expired_is_passed_over(store: Store) -> None:
    user = ObjectId()
    gone, there = entry(store, user), entry(store, user)
    store.updates.catch_up(user)
    store.databases.main["journal"].delete_one({"_id": gone})
    assert [(number, row.get("command")) for number, row in store.updates.after(user, 0)] == [
        (1, None), (2, "CREATE"),
    ]  # fmt: skip
    assert store.updates.behind(user, ObjectId("0" * 24)) == 0
    assert store.updates.behind(user, there) == store.updates.behind(user, ObjectId("f" * 24)) == 2


def test_accounts_are_apart(store: Store) -> None:
    ada, bob = ObjectId(), ObjectId()
    mine, other = entry(store, ada), entry(store, bob)
    assert store.updates.catch_up(ada) == store.updates.catch_up(bob) == 1
    assert (order(store, ada), order(store, bob)) == ([mine], [other])
    assert store.updates.behind(bob, mine) <= 1


def test_a_page_is_read_from_an_index(store: Store) -> None:
    user = ObjectId()
    store.updates.place(user, [entry(store, user) for _ in range(PAGE + 5)])
    assert len(store.updates.after(user, 0)) == PAGE
    wanted = {"user": user, "n": {"$gt": 2}}
    plan = store.databases.main["updates"].find(wanted).sort("n", 1).limit(PAGE).explain()
    assert plan["executionStats"]["totalDocsExamined"] == PAGE
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


class Reader:
    """Reads a feed by hand."""

    def __init__(self, store: Store) -> None:
        self.ready = False
        self._news: Any = Feed(store.databases).follow(self._set)
        while not self.ready:
            next(self._news)

    def _set(self) -> None:
        self.ready = True

    def close(self) -> None:
        """Let go of the feed while its database is still there."""
        self._news.close()

    def until(self, entry_id: ObjectId) -> list[News]:
        seen: list[News] = []
        deadline = time.monotonic() + 10
        while not any(news.entry == entry_id for news in seen) and time.monotonic() < deadline:
            seen += next(self._news)
        return seen


@pytest.fixture(params=["change stream", "poll"])
def fed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, mongo: MongoClient[Any]
) -> Iterator[Store]:
    """A store of a replica set, and of a server without change streams."""
    name = f"test_feed_{request.param.replace(' ', '_')}"
    store = Store(mongo, DatabaseNames(main=name))
    store.ensure_indexes()
    if request.param == "poll":
        monkeypatch.setattr(Databases, "has_transactions", property(lambda self: False))
    yield store
    mongo.drop_database(name)


def test_the_feed_tells_everything_once_also_what_is_late(fed: Store) -> None:
    user = ObjectId()
    before = entry(fed, user)
    with closing(Reader(fed)) as reader:
        first = entry(fed, user)
        news = reader.until(first)
        late = entry(fed, user, age=10)
        news += reader.until(late)
    told = [item.entry for item in news if item.user == user]
    assert before not in told
    assert told == [first, late]


def test_the_feed_tells_notices(fed: Store) -> None:
    user = ObjectId()
    with closing(Reader(fed)) as reader:
        fed.notices.log_out(user, "because")
        end = entry(fed, user)
        notices = [item.payload for item in reader.until(end) if item.payload]
    assert notices == [{"command": "LOGOUT", "reason": "because"}]
