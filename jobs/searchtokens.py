"""Search tokens for mail that WildDuck stored, batch by batch, in one process at a time."""

from __future__ import annotations

from collections.abc import Callable

from jobs.turn import turn
from storage.store import Store

LOCK = "searchtokens"
_AT_ONCE = 250


def fill_tokens(store: Store, stopping: Callable[[], bool] = lambda: False) -> int:
    """Until none is left or the time is over; how many got tokens. What is done is not looked at again."""
    done = 0
    with turn(store.locks, LOCK, stopping) as mine:
        while mine and mine.goes_on():
            filled = store.messages.fill_tokens(_AT_ONCE)
            done += filled
            if not filled:
                break
    return done
