"""A store whose clock is moved by hand, and accounts on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from jobs.runner import Runner
from storage.base.database import DatabaseNames
from storage.messages.intake import NewMessage
from storage.store import Store
from tests.conftest import emptied
from tests.rows import Row


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.now = now.replace(microsecond=now.microsecond // 1000 * 1000)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(mongo: MongoClient[dict[str, Any]], databases: DatabaseNames, clock: HandClock) -> Iterator[Store]:
    """A store on an empty database with a clock of its own, emptied again after the test."""
    with emptied(mongo, databases):
        yield Store(mongo, databases, clock)


class Crash(BaseException):
    """The process is gone: nothing of ours gets to act on it."""


def die_before_step(store: Store, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Run one task, whose process ends before the step `number` is noted."""
    advance, calls = store.tasks.advance, list[Any]()

    def crashing(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == number + 1:
            raise Crash
        advance(*arguments)

    monkeypatch.setattr(store.tasks, "advance", crashing)
    with pytest.raises(Crash):
        Runner(store).run_one()


def add(store: Store, user: ObjectId, number: int, path: str = "INBOX") -> Row:
    """Store a message with a subject and a size of its own."""
    raw = f"From: <a@example.com>\r\nSubject: No {number}\r\n\r\n{'x' * number}".encode()
    return store.intake.add(
        NewMessage(user=store.users.get(user), mailbox=store.mailboxes.by_path(user, path), raw=raw)
    )
