"""A store whose clock is moved by hand, and accounts on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from storage.database import DatabaseNames
from storage.store import Store


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
    yield Store(mongo, databases, clock)
    database = mongo.get_database(databases.main, write_concern=WriteConcern(w=1, j=False))
    for collection in database.list_collection_names():
        database[collection].delete_many({})
