"""A turn at periodic work: one process at a time has it, for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from storage.base.leases import Leases

_HELD = timedelta(minutes=18)
_BUDGET_SECONDS = 12 * 60


class Turn:
    """The turn of the process that got the lock."""

    def __init__(self, leases: Leases, name: str, owner: str, stopping: Callable[[], bool]) -> None:
        self._leases = leases
        self._name = name
        self._owner = owner
        self._stopping = stopping
        self._until = time.monotonic() + _BUDGET_SECONDS

    def goes_on(self) -> bool:
        """Asked before each batch: who lost the lock must not go on beside the next one."""
        if self._stopping() or time.monotonic() > self._until:
            return False
        return self._leases.renew(self._name, self._owner, _HELD)


@contextmanager
def turn(leases: Leases, name: str, stopping: Callable[[], bool]) -> Iterator[Turn | None]:
    """Take a turn at what `name` stands for; None where another process has it."""
    owner = leases.take(name, _HELD)
    if not owner:
        yield None
        return
    try:
        yield Turn(leases, name, owner, stopping)
    finally:
        leases.release(name, owner)


def in_batches(
    leases: Leases, name: str, batch: Callable[[], int], stopping: Callable[[], bool] = lambda: False
) -> int:
    """Do a batch after the other until one does nothing or the turn is over; how much all of them did."""
    done = 0
    with turn(leases, name, stopping) as mine:
        while mine and mine.goes_on() and (some := batch()):
            done += some
    return done
