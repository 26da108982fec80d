"""The queue of tasks: who gets one, for how long, and what becomes of one that fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from bson import ObjectId

from problems import Problem
from storage.base.tasks import LEASE, MOST_ATTEMPTS, LeaseLost, Task
from storage.store import Store
from tests.jobs.conftest import HandClock
from tests.rows import Row

KINDS = {"quota", "user-delete"}


def claim(store: Store) -> Task:
    task = store.tasks.claim(KINDS)
    assert task
    return task


def on_disk(store: Store, task: ObjectId) -> Row:
    return store.databases.main["tasks"].find_one({"_id": task}) or {}


def test_a_task_stands_on_disk_as_wildduck_writes_it(store: Store, clock: HandClock) -> None:
    user = ObjectId()
    task = store.tasks.add("user-delete", {"user": user})
    later = clock.now + timedelta(days=3)
    delayed = store.tasks.add("user-delete", {"user": user}, later)
    assert on_disk(store, task) == {
        "_id": task, "task": "user-delete", "locked": False, "lockedUntil": clock.now, "created": clock.now,
        "status": "waiting", "data": {"user": user},
    }  # fmt: skip
    assert on_disk(store, delayed) == {
        "_id": delayed, "task": "user-delete", "locked": True, "lockedUntil": later, "created": clock.now,
        "status": "delayed", "data": {"user": user},
    }  # fmt: skip
    running = claim(store)
    row = on_disk(store, running.id)
    assert (type(row["locked"]), len(row["locked"]), row["status"], row["runCount"]) == (
        bytes,
        12,
        "active",
        1,
    )
    assert row["lockedUntil"] == clock.now + LEASE


def test_the_longest_due_comes_first_and_none_before_its_time(store: Store, clock: HandClock) -> None:
    late = store.tasks.add("quota", {}, clock.now + timedelta(minutes=5))
    early = store.tasks.add("quota", {}, clock.now + timedelta(minutes=2))
    assert store.tasks.claim(KINDS) is None
    clock.move(minutes=6)
    now = store.tasks.add("quota", {})
    assert [claim(store).id for _ in range(3)] == [early, late, now]
    assert store.tasks.claim(KINDS) is None


def test_kinds_of_others_are_left_alone(store: Store) -> None:
    other = store.tasks.add("acme", {"servername": "example.com"})
    before = on_disk(store, other)
    assert store.tasks.claim(KINDS) is None
    assert on_disk(store, other) == before


def test_the_next_task_is_read_from_an_index(store: Store, clock: HandClock) -> None:
    for minutes in range(50):
        store.tasks.add("quota", {}, clock.now + timedelta(minutes=minutes + 1))
    wanted = {"lockedUntil": {"$lte": clock.now}, "task": {"$in": list(KINDS)}}
    cursor = store.databases.main["tasks"].find(wanted).sort([("lockedUntil", 1), ("_id", 1)])
    stats = cursor.explain()
    assert "COLLSCAN" not in str(stats["queryPlanner"]["winningPlan"])
    assert "'SORT'" not in str(stats["queryPlanner"]["winningPlan"])
    assert stats["executionStats"]["totalDocsExamined"] == 0


def test_no_task_is_taken_twice(store: Store) -> None:
    made = {store.tasks.add("quota", {"n": number}) for number in range(40)}

    def take_all(_: int) -> list[ObjectId]:
        taken = []
        while task := store.tasks.claim(KINDS):
            taken.append(task.id)
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [task for tasks in pool.map(take_all, range(8)) for task in tasks]
    assert len(taken) == 40
    assert set(taken) == made


def test_a_lease_that_ran_out_passes_to_the_next_with_what_was_done(store: Store, clock: HandClock) -> None:
    store.tasks.add("quota", {})
    first = claim(store)
    store.tasks.advance(first, {"after": 7}, 7, 10)
    clock.move(minutes=9)
    assert store.tasks.claim(KINDS) is None, "the step has extended the lease"
    clock.move(minutes=1)
    second = claim(store)
    assert (second.id, second.resume) == (first.id, {"after": 7})
    with pytest.raises(LeaseLost):
        store.tasks.advance(first, {"after": 8}, 8, 10)
    store.tasks.finish(first)
    store.tasks.fail(first, "late")
    store.tasks.release(first)
    row = on_disk(store, second.id)
    assert (row["locked"], row["resume"], row["progress"]) == (
        second.lock,
        {"after": 7},
        {"done": 7, "total": 10},
    )
    store.tasks.finish(second)
    assert on_disk(store, second.id) == {}


def test_failures_wait_longer_each_time_and_end_as_failed(store: Store, clock: HandClock) -> None:
    task = store.tasks.add("quota", {})
    waits = []
    for _ in range(MOST_ATTEMPTS):
        store.tasks.fail(claim(store), "no room left")
        assert store.tasks.claim(KINDS) is None
        waits.append(on_disk(store, task)["lockedUntil"] - clock.now)
        clock.now += waits[-1] if len(waits) < MOST_ATTEMPTS else timedelta(days=10_000)
    assert waits[:4] == [timedelta(seconds=seconds) for seconds in (30, 60, 120, 240)]
    assert waits[:9] == sorted(waits[:9])
    row = on_disk(store, task)
    assert (row["status"], row["error"], row["locked"]) == ("failed", "no room left", True)
    assert store.tasks.claim(KINDS) is None
    assert [shown["status"] for shown in store.tasks.all()] == ["failed"]
    assert store.tasks.retry(task)
    assert claim(store).attempts == 1
    assert not store.tasks.retry(task), "only what has failed"


def test_a_task_that_ends_its_runner_each_time_is_given_up(store: Store, clock: HandClock) -> None:
    task = store.tasks.add("quota", {})
    for _ in range(MOST_ATTEMPTS):
        claim(store)
        clock.now += LEASE
    assert store.tasks.claim(KINDS) is None
    assert on_disk(store, task)["status"] == "failed"


def test_steps_count_attempts_anew(store: Store, clock: HandClock) -> None:
    store.tasks.add("quota", {})
    for number in range(3 * MOST_ATTEMPTS):
        task = claim(store)
        store.tasks.advance(task, {"after": number}, None, None)
        store.tasks.fail(task, "a little further each time")
        clock.move(seconds=30)
    assert claim(store).resume == {"after": 3 * MOST_ATTEMPTS - 1}


def test_ensure_adds_once_and_moves_what_has_not_begun(store: Store, clock: HandClock) -> None:
    user = ObjectId()
    match, data = {"data.user": user}, {"user": user}
    later = clock.now + timedelta(days=1)
    task = store.tasks.ensure("user-delete", match, data, later)
    assert store.tasks.ensure("user-delete", match, data, later + timedelta(days=1)) == task
    assert store.tasks.ensure("user-delete", {"data.user": ObjectId()}, {}) != task
    assert on_disk(store, task)["lockedUntil"] == later + timedelta(days=1)
    assert store.tasks.ensure("user-delete", match, data) == task
    row = on_disk(store, task)
    assert (row["locked"], row["lockedUntil"], row["status"]) == (False, clock.now, "waiting")
    claim(store), claim(store)
    assert store.tasks.ensure("user-delete", match, data, later) == task
    assert on_disk(store, task)["status"] == "active", "what runs goes on"


def test_withdrawn_only_before_it_begins(store: Store, clock: HandClock) -> None:
    user = ObjectId()
    assert store.tasks.withdraw("user-delete", user) is None
    task = store.tasks.add("user-delete", {"user": user}, clock.now + timedelta(days=1))
    assert store.tasks.withdraw("user-delete", user) == task
    store.tasks.add("user-delete", {"user": user})
    store.tasks.fail(claim(store), "once")
    with pytest.raises(Problem) as caught:
        store.tasks.withdraw("user-delete", user)
    assert caught.value.code == "DeleteInProgress"


def test_data_at_the_top_as_old_rows_have_it(store: Store, clock: HandClock) -> None:
    user = ObjectId()
    row = {
        "task": "user-delete",
        "locked": False,
        "lockedUntil": clock.now,
        "status": "waiting",
        "user": user,
    }
    store.databases.main["tasks"].insert_one(row)
    assert claim(store).data["user"] == user


def test_a_lock_has_one_owner(store: Store, clock: HandClock) -> None:
    minute = timedelta(minutes=1)
    with ThreadPoolExecutor(8) as pool:
        owners = [owner for owner in pool.map(lambda _: store.leases.take("x", minute), range(16)) if owner]
    assert len(owners) == 1
    assert store.leases.renew("x", owners[0], minute)
    assert not store.leases.renew("x", "somebody", minute)
    store.leases.release("x", "somebody")
    assert store.leases.take("x", minute) is None
    clock.move(minutes=1)
    assert not store.leases.renew("x", owners[0], minute), "it is over"
    second = store.leases.take("x", minute)
    assert second
    store.leases.release("x", owners[0])
    assert store.leases.take("x", minute) is None
    store.leases.release("x", second)
    assert store.leases.take("x", minute)
