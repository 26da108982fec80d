"""What crashes have left of queued mail goes, batch by batch, in one process at a time."""

from __future__ import annotations

from collections.abc import Callable

from jobs.leader_lease import in_batches
from storage.store import Store

LOCK = "queueleftovers"
_AT_ONCE = 1000


def sweep_queue(store: Store, stopping: Callable[[], bool] = lambda: False) -> int:
    """Until none is left or the time is over; how many messages went."""
    return in_batches(store.leases, LOCK, lambda: store.outbound_queue.sweep(_AT_ONCE), stopping)
