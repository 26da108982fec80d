"""`mailbox-retention`: one task for a mailbox, no change of its retention is lost, and each step is bounded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from jobs import mailboxes
from jobs.progress import Progress, TaskData
from jobs.runner import Runner
from storage.base.database import DatabaseNames
from storage.base.tasks import LEASE
from storage.messages import expiry
from storage.messages.intake import NewMessage
from storage.store import Store
from tests.jobs.conftest import HandClock
from tests.rows import Row

Make = Callable[..., ObjectId]
HOUR = 3_600_000
RAW = b"From: g@example.com\r\nSubject: Hello\r\n\r\nDear Ada"


@pytest.fixture(params=["replica set", "lone server"])
def each_store(
    request: pytest.FixtureRequest,
    store: Store,
    mongo: MongoClient[dict[str, Any]],
    databases: DatabaseNames,
    clock: HandClock,
) -> Store:
    if request.param == "replica set":
        return store
    lone = Store(mongo, databases, clock)
    lone.transactions.available = False
    return lone


@pytest.fixture
def user(store: Store, make_user: Make) -> ObjectId:
    """An account with seven messages in INBOX."""
    user = make_user()
    for _ in range(7):
        store.intake.add(NewMessage(user=store.users.get(user), mailbox=inbox(store, user), raw=RAW))
    return user


def inbox(store: Store, user: ObjectId) -> Row:
    return store.mailboxes.by_path(user, "INBOX")


def change(store: Store, user: ObjectId, retention: int) -> None:
    store.retention_changes.apply(inbox(store, user), None, {"retention": retention})


def retentions(store: Store) -> list[int]:
    return [row["retention"] for row in store.databases.main["messages"].find().sort("uid", 1)]


def tasks(store: Store) -> list[Row]:
    return list(store.databases.main["tasks"].find({"task": "mailbox-retention"}))


def test_the_task_stands_on_disk_as_wildduck_writes_it(
    each_store: Store, user: ObjectId, clock: HandClock
) -> None:
    change(each_store, user, HOUR)
    box = inbox(each_store, user)
    row = tasks(each_store)[0]
    assert {name: row[name] for name in ("task", "locked", "status", "data", "lockedUntil")} == {
        "task": "mailbox-retention", "locked": False, "status": "waiting", "lockedUntil": clock.now,
        "data": {"user": user, "mailbox": box["_id"], "retentionCounter": 1},
    }  # fmt: skip
    change(each_store, user, 2 * HOUR)
    again = tasks(each_store)
    assert [(row["_id"], row["data"]["retentionCounter"]) for row in again] == [(row["_id"], 2)]
    assert Runner(each_store).run_one()
    assert (retentions(each_store), tasks(each_store)) == ([2 * HOUR] * 7, [])


def test_many_at_once_make_one_task(each_store: Store, user: ObjectId) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: change(each_store, user, HOUR + number), range(8)))
    box = inbox(each_store, user)
    assert [row["data"]["retentionCounter"] for row in tasks(each_store)] == [box["retentionCounter"]]
    assert Runner(each_store).run_one()
    assert retentions(each_store) == [box["retention"]] * 7


def test_a_step_is_bounded_and_not_repeated_after_a_crash(
    store: Store, user: ObjectId, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "_BATCH", 2)
    change(store, user, HOUR)
    asked: list[int] = []
    date, crashes = store.expiry.date_by_retention, [4]

    def dating(mailbox: ObjectId, after: int, retention: int) -> int:
        asked.append(after)
        if after in crashes:
            crashes.remove(after)
            raise KeyboardInterrupt
        return date(mailbox, after, retention)

    monkeypatch.setattr(store.expiry, "date_by_retention", dating)
    with pytest.raises(KeyboardInterrupt):
        Runner(store).run_one()
    assert retentions(store) == [HOUR] * 4 + [0] * 3
    assert not Runner(store).run_one(), "nobody else has it while the lease runs"
    clock.now += LEASE
    assert Runner(store).run_one()
    assert (retentions(store), asked) == ([HOUR] * 7, [0, 2, 4, 4, 6, 7])


def test_a_change_while_it_runs_starts_it_over(
    each_store: Store, user: ObjectId, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "_BATCH", 3)
    change(each_store, user, HOUR)
    step, changes = Progress.step, [2 * HOUR]

    def stepping(progress: Progress, *arguments: Any) -> None:
        step(progress, *arguments)
        if changes:
            change(each_store, user, changes.pop())

    monkeypatch.setattr(Progress, "step", stepping)
    assert Runner(each_store).run_one()
    assert retentions(each_store) == [2 * HOUR] * 7


def test_a_change_between_the_last_look_and_the_end_is_not_lost(
    each_store: Store, user: ObjectId, clock: HandClock
) -> None:
    change(each_store, user, HOUR)

    def late(store: Store, data: TaskData, progress: Progress) -> None:
        mailboxes.date_by_retention(store, data, progress)
        clock.move(seconds=1)
        change(store, user, 2 * HOUR)

    assert Runner(each_store, {"mailbox-retention": late}).run_one()
    assert (retentions(each_store), len(tasks(each_store))) == ([HOUR] * 7, 1)
    assert Runner(each_store).run_one()
    assert (retentions(each_store), tasks(each_store)) == ([2 * HOUR] * 7, [])


def test_a_crash_after_the_mailbox_was_changed_is_made_good(
    store: Store,
    mongo: MongoClient[dict[str, Any]],
    databases: DatabaseNames,
    clock: HandClock,
    user: ObjectId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lone = Store(mongo, databases, clock)
    lone.transactions.available = False
    update = lone.mailboxes.update

    def updating(*arguments: Any) -> None:
        update(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(lone.mailboxes, "update", updating)
    with pytest.raises(KeyboardInterrupt):
        change(lone, user, HOUR)
    assert not Runner(store).run_one()
    clock.move(minutes=1)
    assert Runner(store).run_one()
    assert retentions(store) == [HOUR] * 7


def test_a_mailbox_that_is_gone_ends_it_quietly(store: Store, user: ObjectId) -> None:
    box = store.mailboxes.create(user, "A", {"retention": 0}, 100)
    store.retention_changes.apply(store.mailboxes.get(user, box), None, {"retention": HOUR})
    store.mailboxes.delete(store.mailboxes.get(user, box))
    assert Runner(store).run_one()
    assert (tasks(store), retentions(store)) == ([], [0] * 7)
