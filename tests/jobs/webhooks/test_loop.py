"""The loop at work: many targets at once, each few at a time, and a stop that waits for what has begun."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bson import ObjectId
from pymongo import MongoClient

from jobs.webhooks.loop import Webhooks
from network.post import Poster
from storage.store import Store
from tests.jobs.webhooks.conftest import Receiver, tell, told

Receive = Callable[[], Receiver]


@contextmanager
def running(store: Store, poster: Poster, **options: Any) -> Iterator[None]:
    webhooks = Webhooks(store, poster, pause=0.05, **options)
    webhooks.start()
    try:
        yield
    finally:
        webhooks.stop()
        webhooks.join()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


def test_a_slow_target_does_not_hold_others_up(store: Store, receive: Receive, poster: Poster) -> None:
    """Many accounts wait for the slow one, with half the threads it could fill; the fast one is done first."""
    slow, fast = receive(), receive()
    slow.delay = 0.4
    users = [ObjectId() for _ in range(12)]
    store.webhooks.create(["*"], slow.url, None)
    for user in users:
        tell(store, user, "1")
    with running(store, poster, threads=4, per_target=2):
        until(lambda: slow.at_once == 2)
        store.webhooks.create(["*"], fast.url, None)
        for user in users:
            tell(store, user, "2", "3")
        until(lambda: len(fast.posts) == 24)
        assert len(slow.posts) < 24
        assert fast.most_at_once <= 2
    assert slow.most_at_once == 2


def test_two_processes_share_the_work_and_send_nothing_twice(
    mongo: MongoClient[dict[str, Any]], store: Store, receiver: Receiver, poster: Poster
) -> None:
    one, other = (Store(mongo, store.databases.names) for _ in range(2))
    one.webhooks.create(["*"], receiver.url, None)
    users = [ObjectId() for _ in range(8)]
    with running(one, poster), running(other, poster):
        for number in range(10):
            for user in users:
                tell(one, user, f"{number}")
        until(lambda: len(receiver.posts) >= 80)
    assert len(receiver.posts) == 80
    for user in users:
        assert told(receiver, user) == [f"{number}" for number in range(10)]


def test_a_stop_waits_for_the_attempt_and_leaves_the_rest(
    store: Store, receiver: Receiver, poster: Poster
) -> None:
    receiver.delay = 0.3
    store.webhooks.create(["*"], receiver.url, None)
    user = ObjectId()
    tell(store, user, "1", "2", "3")
    with running(store, poster):
        until(lambda: receiver.at_once == 1)
    assert told(receiver, user) == ["1"]
    assert store.databases.main["webhookqueue"].count_documents({}) == 2
    assert store.webhook_queue.claim(), "the lane was given back"


def test_a_database_that_is_away_ends_nothing(
    store: Store, receiver: Receiver, poster: Poster, monkeypatch: Any
) -> None:
    store.webhooks.create(["*"], receiver.url, None)
    failures = []
    discover = store.webhook_queue.discover

    def failing() -> int:
        if len(failures) < 2:
            failures.append(1)
            raise OSError("away")
        return discover()

    monkeypatch.setattr(store.webhook_queue, "discover", failing)
    tell(store, ObjectId(), "1")
    with running(store, poster):
        until(lambda: len(receiver.posts) == 1)
    assert len(failures) == 2
