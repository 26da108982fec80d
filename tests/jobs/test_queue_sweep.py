"""What crashes have left of queued mail goes after a day, and nothing that is still to be sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs.sweep import QUEUE_LOCK, sweep_queue
from storage.base.chunks import CHUNK_SIZE
from storage.queue.outbound_queue import Delivery, new_queue_id
from storage.store import Store
from tests.jobs.conftest import HandClock

BODY = b"x" * (2 * CHUNK_SIZE + 1)


def uploaded(store: Store) -> str:
    """The id of a message that never got into the queue."""
    queue_id = new_queue_id(store.clock())
    store.outbound_queue.put({"id": queue_id, "from": "ada@example.com"}, BODY)
    return queue_id


def broken_off(store: Store) -> None:
    """The first pieces of a message, as they stand when the process dies over its upload."""
    file = {"filename": f"message {uploaded(store)}"}
    sender = store.databases.sender
    found: Any = sender["mail.files"].find_one_and_delete(file)
    assert sender["mail.chunks"].delete_one({"files_id": found["_id"], "n": 2}).deleted_count == 1


def numbers(store: Store) -> tuple[int, int]:
    """How many files there are, and how many pieces."""
    sender = store.databases.sender
    return sender["mail.files"].count_documents({}), sender["mail.chunks"].count_documents({})


def test_leftovers_of_a_day_go(store: Store, clock: HandClock) -> None:
    queued = uploaded(store)
    store.outbound_queue.enqueue(queued, [Delivery("grace@example.org")], clock.now + timedelta(days=4))
    uploaded(store)
    for _ in range(3):
        broken_off(store)
    clock.move(hours=23)
    assert sweep_queue(store) == 0, "an upload may still go on"
    clock.move(hours=2)
    assert numbers(store) == (2, 3 + 3 + 3 * 2)
    assert sweep_queue(store) == 4
    assert numbers(store) == (1, 3)
    read = store.outbound_queue.read(queued)
    assert read
    assert read[1] == BODY
    assert sweep_queue(store) == 0


def test_more_of_them_than_one_batch(store: Store, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.sweep._QUEUED_AT_ONCE", 2)
    for _ in range(5):
        broken_off(store)
    clock.move(days=2)
    assert sweep_queue(store) == 5
    assert numbers(store) == (0, 0)


def test_one_process_at_a_time(store: Store, clock: HandClock) -> None:
    broken_off(store)
    clock.move(days=2)
    held = store.leases.take(QUEUE_LOCK, timedelta(minutes=1))
    assert held
    assert sweep_queue(store) == 0
    store.leases.release(QUEUE_LOCK, held)
    assert sweep_queue(store) == 1
