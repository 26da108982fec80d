"""Pauses between attempts, and their end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.relay.replies import Reply
from delivery.relay.schedule import LIFETIME, Schedule, pauses
from storage.queue.documents import Deferred

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
REPLY = Reply(450, "4.2.2", "Mailbox full", "mx.example.org")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m, 7m,2h", [300, 420, 7200]),
        ("1d", [86_400]),
        ("90000", [90]),
        ("30 s, 1500ms", [30, 10]),
        ("", [300, 900, 3600, 7200, 14_400]),
        ("5 parsecs, 20m", [1200]),
    ],
)
def test_pauses_are_read(text: str, seconds: list[float]) -> None:
    assert list(pauses(text)) == seconds


def test_what_is_remembered_of_an_attempt() -> None:
    later = Schedule([300], lambda: 0.0).next({}, REPLY, NOW)
    assert later
    until, deferred = later
    assert until == NOW + timedelta(minutes=5)
    ms = int(NOW.timestamp() * 1000)
    assert deferred == {
        "first": ms,
        "last": ms,
        "next": ms + 300_000,
        "count": 1,
        "response": "450 4.2.2 Mailbox full",
        "log": [{"time": ms, "response": "450 4.2.2 Mailbox full", "host": "mx.example.org"}],
    }


def attempts(schedule: Schedule) -> list[datetime]:
    """When the attempts are, from the first to the one after which there is none."""
    found, now = [NOW], NOW
    before: Deferred = {}
    while later := schedule.next(before, REPLY, now):
        now, before = later
        found.append(now)
    return found


def test_the_usual_pauses_go_on_for_five_days() -> None:
    usual = pauses("5m, 7m, 8m, 25m, 75m, 2h" + ", 4h" * 11)
    found = attempts(Schedule(usual, lambda: 0.0))
    assert [(b - a).total_seconds() for a, b in pairwise(found)][:7] == [
        300, 420, 480, 1500, 4500, 7200, 14_400,
    ]  # fmt: skip
    assert found[-1] == NOW + LIFETIME
    assert len(found) == 36


@given(st.lists(st.floats(600, 200_000), min_size=1, max_size=20), st.floats(0, 1))
def test_pauses_are_never_shorter_and_at_most_a_fifth_longer(row: list[float], draw: float) -> None:
    found = attempts(Schedule(row, lambda: draw))
    gaps = [(b - a).total_seconds() for a, b in pairwise(found)]
    for number, gap in enumerate(gaps[:-1]):
        pause = row[min(number, len(row) - 1)]
        assert pause - 0.01 <= gap <= pause * 1.2 + 0.01
    assert found[-1] == NOW + LIFETIME


def test_what_was_deferred_together_comes_back_apart() -> None:
    schedule = Schedule([3600])
    untils = {later[0] for _ in range(50) if (later := schedule.next({}, REPLY, NOW))}
    assert len(untils) > 40


def test_the_log_does_not_grow_for_ever() -> None:
    before: Deferred = {}
    for _ in range(100):
        later = Schedule([10]).next(before, REPLY, NOW)
        assert later
        before = later[1]
    assert before["count"] == 100
    assert isinstance(before["log"], list)
    assert len(before["log"]) == 20


def test_what_another_program_remembered() -> None:
    before: Any = {"first": int((NOW - timedelta(days=6)).timestamp() * 1000), "count": 3, "log": {"a": 1}}
    assert Schedule([10]).next(before, REPLY, NOW) is None
    later = Schedule([10]).next({**before, "first": int(NOW.timestamp() * 1000)}, REPLY, NOW)
    assert later
    assert later[1]["count"] == 4
