"""The runner: a job that breaks off is continued, and none runs twice at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from jobs.progress import Progress, TaskData
from jobs.runner import Runner
from storage.base.tasks import LEASE
from storage.messages.intake import NewMessage
from storage.store import Store
from tests.jobs.conftest import Crash, HandClock

Make = Callable[..., ObjectId]


def counting(upto: int, seen: list[int], crash_at: int = -1) -> Any:
    """A job that counts; it dies once, after the step `crash_at` was done and before that was noted."""
    crashes = [crash_at]

    def job(store: Store, data: TaskData, progress: Progress) -> None:
        for number in range(progress.resume.get("next", 0), upto):
            seen.append(number)
            if number in crashes:
                crashes.remove(number)
                raise Crash
            progress.step({"next": number + 1}, number + 1, upto)

    return job


def status(store: Store) -> list[tuple[str, Any]]:
    return [(task["status"], task.get("progress")) for task in store.tasks.all()]


def test_a_crashed_job_is_continued_once_its_lease_is_over(store: Store, clock: HandClock) -> None:
    seen: list[int] = []
    store.tasks.add("quota", {})
    runner = Runner(store, {"quota": counting(5, seen, crash_at=3)})
    with pytest.raises(Crash):
        runner.run_one()
    assert status(store) == [("processing", {"done": 3, "total": 5})]
    assert not runner.run_one(), "the lease still runs"
    clock.now += LEASE
    assert runner.run_one()
    assert seen == [0, 1, 2, 3, 3, 4], "only the step that was not noted is done again"
    assert store.tasks.all() == []


def test_a_job_that_raises_is_tried_again_from_its_last_step(store: Store, clock: HandClock) -> None:
    seen: list[int] = []

    def job(store: Store, data: TaskData, progress: Progress) -> None:
        seen.append(progress.resume.get("next", 0))
        if len(seen) == 1:
            progress.step({"next": 7})
            raise OSError("the disk is full")

    store.tasks.add("quota", {})
    runner = Runner(store, {"quota": job})
    assert runner.run_one()
    assert store.tasks.all()[0]["error"] == "OSError: the disk is full"
    assert not runner.run_one(), "not at once"
    clock.move(seconds=30)
    assert runner.run_one()
    assert seen == [0, 7]


def test_a_runner_that_lost_its_lease_stops(store: Store, clock: HandClock) -> None:
    seen: list[int] = []

    def slow(store: Store, data: TaskData, progress: Progress) -> None:
        clock.now += LEASE
        assert Runner(store, {"quota": counting(2, seen)}).run_one(), "taken over"
        progress.step({"next": 1})
        seen.append(-1)

    store.tasks.add("quota", {})
    assert Runner(store, {"quota": slow}).run_one()
    assert seen == [0, 1]
    assert store.tasks.all() == []


def test_a_stopped_runner_gives_its_job_back(store: Store) -> None:
    began = threading.Event()

    def endless(store: Store, data: TaskData, progress: Progress) -> None:
        number = progress.resume.get("next", 0)
        while True:
            number += 1
            progress.step({"next": number})
            began.set()

    store.tasks.add("quota", {})
    runner = Runner(store, {"quota": endless}, sweeps=False, pause=0.01)
    runner.start()
    assert began.wait(10)
    runner.stop()
    runner.join()
    row = store.databases.main["tasks"].find_one({})
    assert row
    assert (row["status"], row["locked"], row["attempts"]) == ("waiting", False, 0)
    assert row["resume"]["next"] > 0


def test_no_job_runs_twice_at_once(store: Store) -> None:
    """Four runners of two threads each; a job notes who is in it."""
    lock, inside, overlaps, done = threading.Lock(), set[Any](), list[Any](), list[Any]()

    def job(store: Store, data: TaskData, progress: Progress) -> None:
        with lock:
            overlaps.extend(inside & {data["n"]})
            inside.add(data["n"])
        progress.step({})
        time.sleep(0.002)
        with lock:
            inside.remove(data["n"])
            done.append(data["n"])

    for number in range(60):
        store.tasks.add("quota", {"n": number})
    runners = [Runner(store, {"quota": job}, sweeps=False, pause=0.01) for _ in range(4)]
    for runner in runners:
        runner.start()
    deadline = time.monotonic() + 60
    while store.tasks.all() and time.monotonic() < deadline:
        time.sleep(0.02)
    for runner in runners:
        runner.stop()
    for runner in runners:
        runner.join()
    assert overlaps == []
    assert sorted(done) == list(range(60))


def test_a_loop_outlives_a_database_that_is_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    runner = Runner(store, {"quota": counting(1, seen)}, sweeps=False, pause=0.01)
    whole = store.tasks.claim
    failures = iter([ConnectionError("away"), ConnectionError("still away")])

    def claim(kinds: Any) -> Any:
        for error in failures:
            raise error
        return whole(kinds)

    monkeypatch.setattr(store.tasks, "claim", claim)
    store.tasks.add("quota", {})
    runner.start()
    deadline = time.monotonic() + 20
    while not seen and time.monotonic() < deadline:
        time.sleep(0.02)
    runner.stop()
    runner.join()
    assert seen == [0]


def test_all_quotas_are_put_right_and_a_crash_costs_nothing(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs import accounts as jobs_of_accounts

    monkeypatch.setattr(jobs_of_accounts, "_USERS_AT_ONCE", 2)
    users = [make_user(f"user{number}") for number in range(5)]
    accounts = store.databases.users["users"]
    for number, user in enumerate(users):
        add(store, user, number)
    right = {row["_id"]: row["storageUsed"] for row in accounts.find({})}
    assert len(set(right.values())) == 5
    accounts.update_many({}, {"$inc": {"storageUsed": 1000}})
    accounts.update_one({"_id": users[4]}, {"$set": {"storageUsed": -5}})
    store.tasks.add("quota", {})
    recount, calls = store.quota.recount, list[Any]()

    def crashing(some: Any) -> Any:
        calls.append(list(some))
        if len(calls) == 2:
            raise Crash
        return recount(some)

    monkeypatch.setattr(store.quota, "recount", crashing)
    with pytest.raises(Crash):
        Runner(store).run_one()
    clock.now += LEASE
    assert Runner(store).run_one()
    assert calls == [users[:2], users[2:4], users[2:4], users[4:]]
    assert {row["_id"]: row["storageUsed"] for row in accounts.find({})} == right
    assert store.tasks.all() == []


def add(store: Store, user: ObjectId, size: int) -> None:
    box = store.mailboxes.by_path(user, "INBOX")
    raw = f"From: <a@example.com>\r\nSubject: x\r\n\r\n{'x' * (10 * size + 1)}".encode()
    store.intake.add(NewMessage(user=store.users.get(user), mailbox=box, raw=raw))


def test_mail_that_comes_while_it_is_counted_counts(
    store: Store, make_user: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user()
    add(store, user, 1)
    store.databases.users["users"].update_one({"_id": user}, {"$inc": {"storageUsed": 777}})
    sums = store.quota._sums

    def while_mail_comes(*arguments: Any) -> Any:
        add(store, user, 2)
        found = sums(*arguments)
        add(store, user, 3)
        return found

    monkeypatch.setattr(store.quota, "_sums", while_mail_comes)
    counted = store.quota.recount([user])[user]
    assert counted.previous - counted.used == 777
    sizes = sum(row["size"] for row in store.databases.main["messages"].find({"user": user}))
    assert store.users.get(user)["storageUsed"] == sizes


def test_mail_of_a_deleted_mailbox_counts_until_it_is_gone(store: Store, make_user: Make) -> None:
    user = make_user()
    mailbox = store.mailboxes.create(user, "Old", {"retention": 0}, 100)
    raw = b"From: <a@example.com>\r\nSubject: x\r\n\r\nx"
    stored = store.intake.add(
        NewMessage(user=store.users.get(user), mailbox=store.mailboxes.get(user, mailbox), raw=raw)
    )
    store.mailboxes.delete(store.mailboxes.get(user, mailbox))
    store.expiry.expire_all(mailbox)
    assert store.quota.recount([user])[user].used == stored["size"]


@pytest.mark.parametrize("transactions", [True, False])
def test_recount_where_there_are_no_snapshots(store: Store, make_user: Make, transactions: bool) -> None:
    store.quota._has_snapshots = transactions
    user = make_user()
    add(store, user, 1)
    right = store.users.get(user)["storageUsed"]
    store.databases.users["users"].update_one({"_id": user}, {"$set": {"storageUsed": 1}})
    assert store.quota.recount([user, ObjectId()]).keys() == {user}
    assert store.users.get(user)["storageUsed"] == right


def test_one_sweep_at_a_time(store: Store, clock: HandClock) -> None:
    from jobs.sweep import LOCK, Sweep

    owner = store.leases.take(LOCK, timedelta(minutes=18))
    assert owner
    assert Sweep(store).run() is None
    clock.move(minutes=18)
    assert Sweep(store).run() == {"messages": 0, "archived": 0, "attachments": 0, "audits": 0}
    assert Sweep(store).run() == {"messages": 0, "archived": 0, "attachments": 0, "audits": 0}, (
        "the lock was released"
    )
