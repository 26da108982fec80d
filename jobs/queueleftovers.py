"""What crashes have left of queued mail goes, batch by batch, in one process at a time."""

from __future__ import annotations

from collections.abc import Callable

from jobs.turn import turn
from storage.store import Store

LOCK = "queueleftovers"
_AT_ONCE = 1000


def sweep_queue(store: Store, stopping: Callable[[], bool] = lambda: False) -> int:
    """Until none is left or the time is over; how many messages went."""
    done = 0
    with turn(store.locks, LOCK, stopping) as mine:
        while mine and mine.goes_on():
            gone = store.outbound.sweep(_AT_ONCE)
            done += gone
            if not gone:
                break
    return done
