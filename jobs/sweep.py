"""Periodic work: what has expired goes, batch by batch, in one process at a time."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from bson import ObjectId

from jobs.turn import Turn, turn
from storage.store import Store

log = structlog.get_logger()

LOCK = "sweep"
_AT_ONCE = 100
_FILES_AT_ONCE = 1000
_MOST_FAILED = 1000

Batch = Callable[[set[ObjectId]], tuple[int, list[ObjectId]]]


class Sweep:
    """One run over everything that can expire; it ends when nothing is left, or when its time is over."""

    def __init__(self, store: Store, stopping: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._stopping = stopping

    def run(self) -> dict[str, int] | None:
        """How many of each kind went, None where another process is at it."""
        with turn(self._store.locks, LOCK, self._stopping) as mine:
            return self._sweep(mine) if mine else None

    def _sweep(self, mine: Turn) -> dict[str, int]:
        messages = self._store.messages
        return {
            "messages": self._all(mine, lambda failed: messages.delete_expired(_AT_ONCE, failed)),
            "archived": self._all(mine, lambda failed: messages.purge_archived(_AT_ONCE, failed)),
            "attachments": self._orphans(mine),
        }

    def _all(self, mine: Turn, batch: Batch) -> int:
        """Batch after batch; what can not be removed is passed over, so that it keeps nothing else back."""
        failed: set[ObjectId] = set()
        gone = 0
        while len(failed) < _MOST_FAILED and mine.goes_on():
            seen, bad = batch(failed)
            if not seen:
                break
            failed.update(bad)
            gone += seen - len(bad)
        return gone

    def _orphans(self, mine: Turn) -> int:
        gone = 0
        while mine.goes_on() and (files := self._store.attachments.orphans(_FILES_AT_ONCE)):
            gone += sum(self._store.remove_orphan(file) for file in files if mine.goes_on())
        return gone
