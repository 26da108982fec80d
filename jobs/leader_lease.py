"""Leader election for periodic work: the process that holds the lease does it, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from storage.base.leases import Leases

_HELD = timedelta(minutes=18)
_BUDGET_SECONDS = 12 * 60


class LeaderLease:
    """The lease of the process that was elected leader for a piece of work."""

    def __init__(self, leases: Leases, name: str, owner: str, stopping: Callable[[], bool]) -> None:
        self._leases = leases
        self._name = name
        self._owner = owner
        self._stopping = stopping
        self._until = time.monotonic() + _BUDGET_SECONDS

    def renew(self) -> bool:
        """Return whether to go on, having renewed the lease before a batch. Who lost it must stop: another may lead."""
        if self._stopping() or time.monotonic() > self._until:
            return False
        return self._leases.renew(self._name, self._owner, _HELD)


@contextmanager
def leader_lease(leases: Leases, name: str, stopping: Callable[[], bool]) -> Iterator[LeaderLease | None]:
    """Hold the lease of a piece of work; None where another process is its leader."""
    owner = leases.take(name, _HELD)
    if not owner:
        yield None
        return
    try:
        yield LeaderLease(leases, name, owner, stopping)
    finally:
        leases.release(name, owner)


def run_in_batches(
    leases: Leases, name: str, batch: Callable[[], int], stopping: Callable[[], bool] = lambda: False
) -> int:
    """Run batch after batch until one does nothing or the lease is over; return the sum of what they did."""
    done = 0
    with leader_lease(leases, name, stopping) as lease:
        while lease and lease.renew() and (some := batch()):
            done += some
    return done
