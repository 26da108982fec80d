"""The jobs process is killed with kill -9 in the middle of its work; another takes it up, and all is right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from server.processes.mongod import Mongod
from storage.messages.intake import NewMessage
from storage.store import Store
from tests.rows import Row

Make = Callable[..., ObjectId]

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def jobs(mongod: Mongod, store: Store) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts `mallard jobs` on the database of the test; it is stopped after the test."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLARD_")}
    own = {
        "MALLARD_MONGO_URI": mongod.uri,
        "MALLARD_DATABASE": store.databases.names.main,
        "MALLARD_LOG_LEVEL": "error",
    }
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "commands", "jobs"]
        started.append(subprocess.Popen(command, env={**clean, **own}))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


def killed_after(store: Store, task: ObjectId, least: int, process: subprocess.Popen[bytes]) -> Row:
    """Kill the process once that much is done; the task as it was left."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        row = store.tasks.find(task)
        assert row, "the task must still be there"
        assert row["status"] != "finished", "killed too late: this tests nothing"
        if (row.get("progress") or {}).get("done", 0) >= least:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
            left = store.tasks.find(task)
            assert left
            assert left["status"] == "processing"
            return left
        time.sleep(0.002)
    raise AssertionError("the job did not get so far in time")


def ten_minutes_later(store: Store, task: ObjectId) -> None:
    """The lease of the dead process is over."""
    changed = store.databases.main["tasks"].update_one(
        {"_id": task}, {"$set": {"lockedUntil": datetime.now(UTC)}}
    )
    assert changed.matched_count == 1


def finished(store: Store, task: ObjectId) -> Row:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        row = store.tasks.find(task)
        assert row
        if row["status"] == "finished":
            return row
        time.sleep(0.05)
    raise AssertionError(f"the job did not end: {store.tasks.all()}")


def test_killed_during_a_restore(store: Store, make_user: Make, jobs: Callable[[], Any]) -> None:
    user = make_user()
    box, account = store.mailboxes.by_path(user, "INBOX"), store.users.get(user)
    raws = [f"From: <a@example.com>\r\nSubject: No {n}\r\n\r\n{'x' * n}".encode() for n in range(400)]
    rows = [store.intake.add(NewMessage(user=account, mailbox=box, raw=raw)) for raw in raws]
    store.removal.delete_all(user, box["_id"])
    now = datetime.now(UTC)
    task = store.tasks.add("restore", {"user": user, "start": now.replace(year=2020), "end": now})
    left = killed_after(store, task, 100, jobs())
    assert 0 < store.databases.main["archived"].count_documents({"user": user}) < 400
    jobs()
    time.sleep(3)
    still = store.tasks.find(task)
    assert still == left, "not before the lease is over"
    ten_minutes_later(store, task)
    done = finished(store, task)
    assert done["runs"] == 2
    assert_restored(store, user, rows, raws)


def assert_restored(
    store: Store, user: ObjectId, rows: Sequence[Mapping[str, Any]], raws: list[bytes]
) -> None:
    there = list(store.databases.main["messages"].find({"user": user}).sort("uid", 1))
    assert store.databases.main["archived"].count_documents({"user": user}) == 0
    assert {row["_id"] for row in there} == {row["_id"] for row in rows}
    (place,) = {row["mailbox"] for row in there}
    box = store.mailboxes.get(user, place)
    assert box["path"].startswith("Restored (")
    assert [row["uid"] for row in there] == list(range(1, 401)), "each once, none left out"
    assert box["uidNext"] == 401
    assert store.mailbox_counts.of([box])[place] == (400, 400)
    assert store.users.get(user)["storageUsed"] == sum(row["size"] for row in there)
    assert sorted(b"".join(store.messages.source(row)) for row in there) == sorted(raws)
    told = store.databases.main["journal"].count_documents({"mailbox": place, "command": "EXISTS"})
    assert told == 400


def test_killed_during_a_recalculation_of_quotas(
    store: Store, make_user: Make, jobs: Callable[[], Any]
) -> None:
    template, count = store.users.get(make_user()), 6000
    box = store.mailboxes.by_path(template["_id"], "INBOX")
    users: list[Row] = [
        {**template, "_id": ObjectId(), "username": f"u{n}", "unameview": f"u{n}", "storageUsed": n * 7 % 5}
        for n in range(count)
    ]
    boxes: list[Row] = [{**box, "_id": ObjectId(), "user": user["_id"]} for user in users]
    messages: list[Row] = [{"user": b["user"], "mailbox": b["_id"], "uid": u, "size": n + u}
                for n, b in enumerate(boxes) for u in range(n % 3)]  # fmt: skip
    store.databases.users["users"].insert_many(users)
    store.databases.main["mailboxes"].insert_many(boxes)
    store.databases.main["messages"].insert_many(messages)
    task = store.tasks.add("quota", {})
    left = killed_after(store, task, 500, jobs())
    assert left["progress"]["done"] < count
    wrong = users[-1]["_id"]
    assert store.users.get(wrong)["storageUsed"] == users[-1]["storageUsed"], "it had not come so far"
    ten_minutes_later(store, task)
    store.databases.users["users"].update_one({"_id": users[0]["_id"]}, {"$inc": {"storageUsed": 1000}})
    jobs()
    done = finished(store, task)
    assert (done["runs"], done["progress"]["done"]) == (2, count + 1)
    used = {
        row["_id"]: row["storageUsed"] for row in store.databases.users["users"].find({}, {"storageUsed": 1})
    }
    assert used.pop(users[0]["_id"]) == right(users[0], messages) + 1000, "continued, not begun again"
    sums = dict.fromkeys([user["_id"] for user in users], 0)
    for message in messages:
        sums[message["user"]] += message["size"]
    del sums[users[0]["_id"]]
    assert used == {**sums, template["_id"]: 0}


def right(user: Row, messages: list[Row]) -> int:
    return sum(message["size"] for message in messages if message["user"] == user["_id"])
