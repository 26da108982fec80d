"""`mallard jobs` as a process of its own: it delivers, it may be killed over an attempt, and it stops when asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bson import ObjectId

from server.processes.mongod import Mongod
from storage.store import Store
from tests.jobs.webhooks.conftest import Receiver, tell

ROOT = Path(__file__).resolve().parents[3]
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(mongod: Mongod, store: Store) -> Iterator[Start]:
    """`start()` runs the command; whatever still runs after the test is killed."""
    own = {
        "MALLARD_MONGO_URI": mongod.uri,
        "MALLARD_DATABASE": store.databases.names.main,
        "MALLARD_ALLOW_PRIVATE_TARGETS": "on",
        "MALLARD_SWEEP": "off",
    }
    processes: list[subprocess.Popen[bytes]] = []

    def run() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "commands", "jobs"]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **own}, stderr=subprocess.DEVNULL)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def test_a_process_killed_over_an_attempt_is_followed_by_another(
    store: Store, receiver: Receiver, start: Start
) -> None:
    store.webhooks.create(["*"], receiver.url, None)
    receiver.delay = 2
    tell(store, ObjectId(), "1", "2")
    first = start()
    until(lambda: receiver.at_once == 1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    receiver.delay = 0
    second = start()
    # Two minutes later, when the lease is over.
    store.databases.main["webhooklanes"].update_many({}, {"$set": {"due": store.clock()}})
    until(lambda: len(receiver.posts) == 3)
    second.terminate()
    assert second.wait(20) == 0
    attempts = [(post.event["path"], post.attempt) for post in receiver.posts]
    attempts.remove(("1", 1))  # its answer may come while the others are on their way
    assert attempts == [("1", 2), ("2", 1)]
    assert store.databases.main["webhookqueue"].count_documents({}) == 0
