"""Periodic work: what has expired goes, batch by batch, in one process at a time."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from bson import ObjectId

from jobs.leader_lease import Turn, turn
from storage.base.database import DatabaseError
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
        with turn(self._store.leases, LOCK, self._stopping) as mine:
            return self._sweep(mine) if mine else None

    def _sweep(self, mine: Turn) -> dict[str, int]:
        expiry = self._store.expiry
        return {
            "audits": self._all(mine, lambda failed: self._end_audits(mine, failed)),
            "messages": self._all(mine, lambda failed: expiry.delete_expired(_AT_ONCE, failed)),
            "archived": self._all(mine, lambda failed: expiry.purge_archived(_AT_ONCE, failed)),
            "attachments": self._orphans(mine),
        }

    def _all(self, mine: Turn, batch: Batch) -> int:
        """Batch after batch; what cannot be removed is passed over, so that it keeps nothing else back."""
        failed: set[ObjectId] = set()
        gone = 0
        while len(failed) < _MOST_FAILED and mine.goes_on():
            seen, bad = batch(failed)
            if not seen:
                break
            failed.update(bad)
            gone += seen - len(bad)
        return gone

    def _end_audits(self, mine: Turn, failed: set[ObjectId]) -> tuple[int, list[ObjectId]]:
        """One that is not done within this run is taken up again by the next."""
        ended = self._store.audits.expired(_AT_ONCE, failed)
        return len(ended), [audit for audit in ended if not self._ended(mine, audit)]

    def _ended(self, mine: Turn, audit: ObjectId) -> bool:
        try:
            while mine.goes_on():
                if not self._store.audit_files.delete_some(audit, _AT_ONCE) and self._store.audits.close(
                    audit
                ):
                    return True
        except DatabaseError as error:
            log.error("an audit could not be ended", audit=str(audit), exc_info=error)
        return False

    def _orphans(self, mine: Turn) -> int:
        gone = 0
        while mine.goes_on() and (files := self._store.attachments.orphans(_FILES_AT_ONCE)):
            gone += sum(self._store.remove_orphan(file) for file in files if mine.goes_on())
        return gone
