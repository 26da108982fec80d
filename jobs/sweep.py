"""Periodic work: what has expired goes, batch by batch, in one process at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from bson import ObjectId

from storage.database import DatabaseError
from storage.store import Store

log = structlog.get_logger()

LOCK = "sweep"
_HELD = timedelta(minutes=18)
_BUDGET_SECONDS = 12 * 60
_AT_ONCE = 100
_FILES_AT_ONCE = 1000
_MOST_FAILED = 1000

Batch = Callable[[set[ObjectId]], tuple[int, list[ObjectId]]]


class Sweep:
    """One run over everything that can expire; it ends when nothing is left, or when its time is over."""

    def __init__(self, store: Store, stopping: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._stopping = stopping
        self._owner: str | None = None
        self._until = 0.0

    def run(self) -> dict[str, int] | None:
        """How many of each kind went, None where another process is at it."""
        self._owner = self._store.locks.take(LOCK, _HELD)
        if not self._owner:
            return None
        self._until = time.monotonic() + _BUDGET_SECONDS
        try:
            return self._sweep()
        finally:
            self._store.locks.release(LOCK, self._owner)

    def _sweep(self) -> dict[str, int]:
        messages = self._store.messages
        return {
            "audits": self._all(self._end_audits),
            "messages": self._all(lambda failed: messages.delete_expired(_AT_ONCE, failed)),
            "archived": self._all(lambda failed: messages.purge_archived(_AT_ONCE, failed)),
            "attachments": self._orphans(),
        }

    def _goes_on(self) -> bool:
        """Checked before each batch: a sweep that lost its lock must not go on beside the next one."""
        if self._stopping() or time.monotonic() > self._until:
            return False
        return self._store.locks.renew(LOCK, self._owner or "", _HELD)

    def _all(self, batch: Batch) -> int:
        """Batch after batch; what can not be removed is passed over, so that it keeps nothing else back."""
        failed: set[ObjectId] = set()
        gone = 0
        while len(failed) < _MOST_FAILED and self._goes_on():
            seen, bad = batch(failed)
            if not seen:
                break
            failed.update(bad)
            gone += seen - len(bad)
        return gone

    def _end_audits(self, failed: set[ObjectId]) -> tuple[int, list[ObjectId]]:
        """One that is not done within this run is taken up again by the next."""
        ended = self._store.audits.expired(_AT_ONCE, failed)
        return len(ended), [audit for audit in ended if not self._ended(audit)]

    def _ended(self, audit: ObjectId) -> bool:
        try:
            while self._goes_on():
                if not self._store.auditfiles.delete_some(audit, _AT_ONCE) and self._store.audits.close(
                    audit
                ):
                    return True
        except DatabaseError as error:
            log.error("an audit could not be ended", audit=str(audit), exc_info=error)
        return False

    def _orphans(self) -> int:
        gone = 0
        while self._goes_on() and (files := self._store.attachments.orphans(_FILES_AT_ONCE)):
            gone += sum(self._store.remove_orphan(file) for file in files if self._goes_on())
        return gone
