"""The job that copies what is there, taken up where it broke off; and the end of audits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from bson import ObjectId

from jobs.runner import Runner
from jobs.sweep import Sweep
from storage.audits.audits import Actor, Span
from storage.base.database import DatabaseError
from storage.base.tasks import LEASE
from storage.store import Store
from tests.jobs.conftest import HandClock, add, die_before_step
from tests.rows import Row

Make = Callable[..., ObjectId]


def begin(store: Store, user: ObjectId, clock: HandClock) -> ObjectId:
    expires = clock.now + timedelta(days=30)
    return store.audits.create(user, Span(), expires, None, {}, Actor("root", "root"))


def subjects(store: Store, audit: ObjectId) -> list[bytes]:
    found = [b"".join(copy.pieces) for copy in store.audit_files.export(audit)]
    return sorted(raw.split(b"Subject: ")[1].split(b"\r\n")[0] for raw in found)


def state(store: Store, audit: ObjectId) -> tuple[str, int, int, int]:
    row = store.audits.get(audit)
    return row["import"]["status"], row["import"]["copied"], row["import"]["failed"], row["audited"]


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from storage.messages import audit_import

    monkeypatch.setattr(audit_import, "_THREADS_AT_ONCE", 3)
    monkeypatch.setattr(audit_import, "_MESSAGES_AT_ONCE", 2)


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("crash_at", range(6))
def test_a_crash_costs_nothing_and_copies_nothing_twice(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """Killed after a copy was made and before the step was noted; mail is stored and deleted meanwhile."""
    user = make_user()
    rows = [add(store, user, number) for number in range(9)]
    store.removal.delete(user, rows[0]["mailbox"], rows[0]["uid"])
    audit = begin(store, user, clock)
    die_before_step(store, monkeypatch, crash_at)
    assert state(store, audit)[0] == "importing"
    store.removal.delete(user, rows[8]["mailbox"], rows[8]["uid"])
    add(store, user, 9)
    clock.now += LEASE
    assert Runner(store).run_one()
    assert subjects(store, audit) == [b"No %d" % number for number in range(10)]
    assert state(store, audit) == ("imported", 9, 0, 10)
    assert store.tasks.all() == []


@pytest.mark.usefixtures("few_at_once")
def test_what_is_restored_and_deleted_meanwhile_is_found(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user()
    rows = [add(store, user, number) for number in range(8)]
    store.removal.delete(user, rows[0]["mailbox"], rows[0]["uid"])
    audit = begin(store, user, clock)
    advance = store.tasks.advance

    def delete(row: Row) -> None:
        store.removal.delete(user, row["mailbox"], row["uid"])

    moves: Iterator[Callable[[], Any]] = iter(
        [partial(store.restoring.restore, user, rows[0]["_id"]), *(partial(delete, row) for row in rows[1:])]
    )

    def moving(*arguments: Any) -> None:
        if move := next(moves, None):
            move()
        advance(*arguments)

    monkeypatch.setattr(store.tasks, "advance", moving)
    assert Runner(store).run_one()
    assert subjects(store, audit) == [b"No %d" % number for number in range(8)]


def test_a_failure_is_told_until_the_next_attempt(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user()
    add(store, user, 0)
    audit = begin(store, user, clock)
    with monkeypatch.context() as patch:
        patch.setattr(store.audit_files, "missing", lambda *_: 1 / 0)
        assert Runner(store).run_one()
    assert state(store, audit) == ("failed", 0, 0, 0)
    clock.move(seconds=30)
    assert Runner(store).run_one()
    assert state(store, audit) == ("imported", 1, 0, 1)


def test_a_bad_message_is_counted_once(store: Store, make_user: Make, clock: HandClock) -> None:
    user = make_user()
    bad = add(store, user, 0)
    add(store, user, 1)
    store.databases.main["messages"].update_one({"_id": bad["_id"]}, {"$set": {"mimeTree": {}}})
    audit = begin(store, user, clock)
    assert Runner(store).run_one()
    assert state(store, audit) == ("imported", 1, 1, 1)


def test_an_audit_that_is_over_needs_no_job(store: Store, make_user: Make, clock: HandClock) -> None:
    user = make_user()
    add(store, user, 0)
    audit = begin(store, user, clock)
    clock.move(days=31)
    assert Runner(store).run_one()
    assert state(store, audit) == ("queued", 0, 0, 0)
    assert store.tasks.all() == []


def test_the_sweep_removes_what_expired_and_that_alone(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs import sweep

    monkeypatch.setattr(sweep, "_AT_ONCE", 2)
    user = make_user()
    audit = begin(store, user, clock)
    for number in range(5):
        add(store, user, number)
    clock.move(days=29)
    later = begin(store, user, clock)
    add(store, user, 5)
    assert (Sweep(store).run() or {})["audits"] == 0
    clock.move(days=1)
    assert (Sweep(store).run() or {})["audits"] == 1
    row = store.audits.get(audit)
    assert (row["deleted"], row["deletedTime"], row["audited"]) == (True, clock.now, 6)
    assert subjects(store, audit) == []
    assert subjects(store, later) == [b"No 5"]
    assert store.databases.gridfs["audit.chunks"].count_documents({}) == 1
    assert (Sweep(store).run() or {})["audits"] == 0


def test_an_audit_that_cannot_be_ended_keeps_none_of_the_others(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    audits = [begin(store, make_user(name), clock) for name in ("ada", "bob")]
    clock.move(days=31)
    close = store.audits.close

    def broken(audit: ObjectId) -> bool:
        if audit == audits[0]:
            raise DatabaseError("no room left")
        return close(audit)

    monkeypatch.setattr(store.audits, "close", broken)
    assert (Sweep(store).run() or {})["audits"] == 1
    assert [store.audits.get(audit)["deleted"] for audit in audits] == [False, True]
