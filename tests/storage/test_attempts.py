"""Guesses at secrets, limited."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta

import pytest
from bson import ObjectId

from storage.base.attempts import Attempts, Limit
from storage.store import Store
from tests.storage.conftest import together


class Clock:
    """A clock that tests move."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def limit() -> Limit:
    return Limit(f"auth_user:{ObjectId()}", 3, 100)


def wrong(attempts: Attempts, limit: Limit) -> bool:
    """Make a wrong guess; whether it was looked at."""
    place = attempts.reserve(limit)
    if place.granted:
        attempts.count(limit, place.id)
    return place.granted


def test_no_more_are_looked_at_than_the_limit(store: Store, limit: Limit) -> None:
    assert [wrong(store.attempts, limit) for _ in range(5)] == [True, True, True, False, False]
    refused = store.attempts.reserve(limit)
    assert (refused.granted, refused.busy) == (False, False)
    assert store.attempts.failures(limit.key) == 3


def test_many_at_once_never_pass_the_limit(store: Store, limit: Limit) -> None:
    assert Counter(together(100, lambda _: wrong(store.attempts, limit)))[True] == 3


def test_right_ones_at_once_all_pass(store: Store, limit: Limit) -> None:
    def right(_: int) -> bool:
        while not (place := store.attempts.reserve(limit)).granted:
            assert place.busy
            time.sleep(0.01)
        store.attempts.give_back(limit, place.id)
        return True

    assert together(30, right) == [True] * 30
    assert store.attempts.failures(limit.key) == 0


def test_one_in_flight_holds_a_place_until_it_ends(store: Store, limit: Limit) -> None:
    places = [store.attempts.reserve(limit) for _ in range(3)]
    assert store.attempts.reserve(limit).busy
    store.attempts.give_back(limit, places[0].id)
    assert store.attempts.reserve(limit).granted
    store.attempts.count(limit, places[1].id)
    assert store.attempts.reserve(limit).busy


def test_the_place_of_a_process_that_died_is_free_after_a_minute(store: Store, limit: Limit) -> None:
    clock = Clock(store.clock())
    attempts = Attempts(store.databases, clock)
    for _ in range(3):
        attempts.reserve(limit)
    clock.now += timedelta(seconds=59)
    assert not attempts.reserve(limit).granted
    clock.now += timedelta(seconds=2)
    assert attempts.reserve(limit).granted


def test_the_window_begins_with_the_first_failure_and_does_not_slide(store: Store, limit: Limit) -> None:
    clock = Clock(store.clock())
    attempts = Attempts(store.databases, clock)
    wrong(attempts, limit)
    clock.now += timedelta(seconds=90)
    assert [wrong(attempts, limit) for _ in range(3)] == [True, True, False]
    clock.now += timedelta(seconds=11)
    assert attempts.failures(limit.key) == 0
    assert wrong(attempts, limit)
    row = store.databases.main["counters"].find_one({"_id": limit.key})
    assert row
    assert row["ends"] == clock.now + timedelta(seconds=100)
    assert row["expires"] >= row["ends"], "MongoDB may not sweep a window that still runs"


def test_a_new_beginning_forgets_failures_and_not_what_is_in_flight(store: Store, limit: Limit) -> None:
    wrong(store.attempts, limit)
    place = store.attempts.reserve(limit)
    store.attempts.forget([limit.key])
    assert store.attempts.failures(limit.key) == 0
    store.attempts.count(limit, place.id)
    assert store.attempts.failures(limit.key) == 1
