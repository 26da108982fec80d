"""Counters that run out."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from bson import ObjectId

from storage.base.counters import Count, Counters
from storage.store import Store
from tests.storage.conftest import together


class Clock:
    """A clock that tests move."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def test_many_at_once_never_pass_the_limit(store: Store) -> None:
    key = f"k:{ObjectId()}"
    results = together(200, lambda _: store.counters.add(key, 1, 7).allowed)
    assert Counter(results) == {True: 7, False: 193}
    assert store.counters.peek(key, 7).value == 7


def test_what_does_not_fit_is_not_counted_in_part(store: Store) -> None:
    key = f"k:{ObjectId()}"
    assert store.counters.add(key, 5, 7).allowed
    assert store.counters.add(key, 3, 7) == Count(False, 5, store.counters.peek(key, 7).seconds_left)
    assert store.counters.add(key, 2, 7).value == 7


def test_no_limit_counts_nothing(store: Store) -> None:
    key = f"k:{ObjectId()}"
    assert store.counters.add(key, 9, 0) == Count(True, 0, 0)
    assert store.databases.main["counters"].find_one({"_id": key}) is None


def test_the_window_begins_with_the_first_count_and_does_not_slide(store: Store) -> None:
    clock, key = Clock(store.clock()), f"k:{ObjectId()}"
    counters = Counters(store.databases, clock)
    counters.add(key, 1, 2, window=100)
    clock.now += timedelta(seconds=60)
    assert counters.add(key, 1, 2, window=100).seconds_left == 40
    assert not counters.add(key, 1, 2, window=100).allowed
    clock.now += timedelta(seconds=41)
    assert counters.peek(key, 2) == Count(True, 0, 0)
    assert counters.add(key, 1, 2, window=100) == Count(True, 1, 100)


def test_what_is_given_back_can_be_counted_again(store: Store) -> None:
    key = f"k:{ObjectId()}"
    store.counters.add(key, 2, 2)
    store.counters.give_back(key, 1)
    assert store.counters.add(key, 1, 2).allowed
    store.counters.give_back(key, 3)
    assert store.counters.peek(key, 2).value == 2


def test_a_reset_forgets_the_named_ones_alone(store: Store) -> None:
    one, other = f"k:{ObjectId()}", f"k:{ObjectId()}"
    for key in (one, other):
        store.counters.add(key, 1, 5)
    store.counters.reset([one])
    assert (store.counters.peek(one, 5).value, store.counters.peek(other, 5).value) == (0, 1)
