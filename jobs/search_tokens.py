"""Search tokens for mail that WildDuck stored, batch by batch, in one process at a time."""

from __future__ import annotations

from collections.abc import Callable

from jobs.leader_lease import in_batches
from storage.store import Store

LOCK = "searchtokens"
_AT_ONCE = 250


def fill_tokens(store: Store, stopping: Callable[[], bool] = lambda: False) -> int:
    """Until none is left or the time is over; how many got tokens. What is done is not looked at again."""
    return in_batches(store.leases, LOCK, lambda: store.search_tokens.fill(_AT_ONCE), stopping)
