"""Search tokens for mail that WildDuck stored: found by an index, made in bounded steps, told to nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from jobs import sweep
from jobs.runner import Runner
from jobs.sweep import SEARCH_TOKENS_LOCK, fill_search_tokens
from storage.base.paging import Paging
from storage.messages.intake import NewMessage
from storage.search.condition import condition
from storage.search.message_search import search_order
from storage.store import Store
from tests.jobs.conftest import HandClock
from tests.storage.plans import examined, indexes, plans, values

Make = Callable[..., ObjectId]
SENDERS = ("grace", "bob", "zoe")


@pytest.fixture
def user(store: Store, make_user: Make) -> ObjectId:
    """An account with thirty messages, as WildDuck stores them."""
    store.ensure_indexes()
    user = make_user()
    account, inbox = store.users.get(user), store.mailboxes.by_path(user, "INBOX")
    for number in range(30):
        raw = f"From: {SENDERS[number % 3]}@example.com\r\nSubject: Note {number}\r\n\r\nDear Ada"
        store.intake.add(NewMessage(user=account, mailbox=inbox, raw=raw.encode()))
    messages(store).update_many({}, {"$unset": {"mallard": ""}})
    return user


def messages(store: Store) -> Any:
    return store.databases.main["messages"]


def lacking(store: Store) -> int:
    return int(messages(store).count_documents({"mallard.search": None}))


def search(store: Store, user: ObjectId, text: str) -> list[int]:
    wanted = condition(store.message_search.places(user), user, {"from": text})
    page, total = store.message_search.search(user, wanted, Paging(limit=50), search_order("asc"))
    assert total == len(page.rows)
    return [row["uid"] for row in page.rows]


def test_the_same_tokens_as_of_a_message_of_our_own(store: Store, user: ObjectId) -> None:
    before = list(messages(store).find({}, {"modseq": 1, "uid": 1}))
    journal = store.databases.main["journal"].count_documents({})
    box = store.mailboxes.by_path(user, "INBOX")
    assert fill_search_tokens(store) == 30
    assert messages(store).find_one({"uid": 1})["mallard"] == {
        "search": ["f:grace", "f:race", "f:ace", "f:example", "f:xample", "f:ample", "f:mple", "f:ple", "f:com",
                   "s:note", "s:ote", "s:0"],
    }  # fmt: skip
    assert list(messages(store).find({}, {"modseq": 1, "uid": 1})) == before
    assert store.mailboxes.by_path(user, "INBOX") == box
    assert store.databases.main["journal"].count_documents({}) == journal


def test_searches_are_right_before_between_and_after(
    store: Store, user: ObjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_TOKENS_AT_ONCE", 7)
    found = [search(store, user, "grace")]
    for _ in range(2):
        batches = iter([False, True])
        assert fill_search_tokens(store, lambda left=batches: next(left)) == 7
        found.append(search(store, user, "grace"))
    assert lacking(store) == 16, "what a stop interrupts is continued, not begun anew"
    assert fill_search_tokens(store) == 16
    assert [*found, search(store, user, "grace")] == [list(range(1, 31, 3))] * 4


def test_a_search_reads_no_more_than_it_finds_once_all_have_tokens(store: Store, user: ObjectId) -> None:
    def reads() -> list[int]:
        explained = plans(store, lambda: search(store, user, "zoe"))
        of_messages = [plan for plan in explained if "mallard.search" in str(plan)]
        return [examined(plan) for plan in of_messages if indexes(plan)]

    assert reads() == [30, 30], "before that every message is looked at"
    fill_search_tokens(store)
    assert reads() == [10, 10]


def test_with_nothing_to_do_no_message_and_no_key_is_read(store: Store, user: ObjectId) -> None:
    (plan,) = plans(store, lambda: store.search_tokens.fill(5))
    assert indexes(plan) == {"mallard_tokenless"}
    assert examined(plan) == 5
    fill_search_tokens(store)
    (plan,) = plans(store, lambda: store.search_tokens.fill(5))
    assert indexes(plan) == {"mallard_tokenless"}
    assert (examined(plan), max(values(plan, "totalKeysExamined"))) == (0, 0)


def test_tokens_that_came_meanwhile_stay(store: Store, user: ObjectId) -> None:
    messages(store).update_many(
        {"uid": {"$gt": 2}}, {"$set": {"mallard.search": ["f:own"], "mallard.layout": [1]}}
    )
    assert fill_search_tokens(store) == 2
    assert messages(store).find_one({"uid": 3})["mallard"] == {"search": ["f:own"], "layout": [1]}


@pytest.mark.parametrize("headers", [None, [], [{"key": "from"}], [{"key": "from", "value": 5}], ["x"], 7])
def test_headers_of_any_kind_keep_nothing_back(store: Store, user: ObjectId, headers: Any) -> None:
    messages(store).update_one({"uid": 1}, {"$set": {"headers": headers}})
    assert fill_search_tokens(store) == 30
    assert lacking(store) == 0


def test_one_process_at_a_time(store: Store, user: ObjectId, clock: HandClock) -> None:
    held = store.leases.take(SEARCH_TOKENS_LOCK, timedelta(minutes=1))
    assert held
    assert fill_search_tokens(store) == 0
    store.leases.release(SEARCH_TOKENS_LOCK, held)
    assert fill_search_tokens(store) == 30


def test_the_runner_does_it_also_where_wildduck_sweeps(
    store: Store, user: ObjectId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.runner._FIRST_PERIOD_SECONDS", 0.0)
    runner = Runner(store, sweeps=False, pause=0.01)
    runner.start()
    done = threading.Event()
    for _ in range(200):
        if not lacking(store):
            break
        done.wait(0.05)
    runner.stop()
    runner.join()
    assert lacking(store) == 0
