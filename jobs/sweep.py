"""Periodic work, batch by batch, by one process at a time: what has expired is removed, search tokens are filled in."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from bson import ObjectId

from jobs.leader_lease import LeaderLease, leader_lease, run_in_batches
from storage.base.database import DatabaseError
from storage.store import Store

log = structlog.get_logger()

LOCK, QUEUE_LOCK, SEARCH_TOKENS_LOCK = "sweep", "queueleftovers", "searchtokens"
_AT_ONCE = 100
_QUEUED_AT_ONCE = 1000
_TOKENS_AT_ONCE = 250
_FILES_AT_ONCE = 1000
_MOST_FAILED = 1000

Batch = Callable[[set[ObjectId]], tuple[int, list[ObjectId]]]


class Sweep:
    """One run over everything that can expire; it ends when nothing is left, or when its time is over."""

    def __init__(self, store: Store, stopping: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._stopping = stopping

    def run(self) -> dict[str, int] | None:
        """Return how many of each kind were removed, None where another process is the leader."""
        with leader_lease(self._store.leases, LOCK, self._stopping) as lease:
            return self._sweep(lease) if lease else None

    def _sweep(self, lease: LeaderLease) -> dict[str, int]:
        expiry = self._store.expiry
        return {
            "audits": self._all(lease, lambda failed: self._end_audits(lease, failed)),
            "messages": self._all(lease, lambda failed: expiry.delete_expired(_AT_ONCE, failed)),
            "archived": self._all(lease, lambda failed: expiry.purge_archived(_AT_ONCE, failed)),
            "attachments": self._orphans(lease),
        }

    def _all(self, lease: LeaderLease, batch: Batch) -> int:
        """Batch after batch; what cannot be removed is skipped, so that it holds nothing else up."""
        failed: set[ObjectId] = set()
        gone = 0
        while len(failed) < _MOST_FAILED and lease.renew():
            seen, bad = batch(failed)
            if not seen:
                break
            failed.update(bad)
            gone += seen - len(bad)
        return gone

    def _end_audits(self, lease: LeaderLease, failed: set[ObjectId]) -> tuple[int, list[ObjectId]]:
        """One that is not done within this run is taken up again by the next."""
        ended = self._store.audits.expired(_AT_ONCE, failed)
        return len(ended), [audit for audit in ended if not self._ended(lease, audit)]

    def _ended(self, lease: LeaderLease, audit: ObjectId) -> bool:
        try:
            while lease.renew():
                if not self._store.audit_files.delete_some(audit, _AT_ONCE) and self._store.audits.close(
                    audit
                ):
                    return True
        except DatabaseError as error:
            log.error("an audit could not be ended", audit=str(audit), exc_info=error)
        return False

    def _orphans(self, lease: LeaderLease) -> int:
        gone = 0
        while lease.renew() and (files := self._store.attachments.orphans(_FILES_AT_ONCE)):
            gone += sum(self._store.remove_orphan(file) for file in files if lease.renew())
        return gone


def sweep_queue(store: Store, stopping: Callable[[], bool] = lambda: False) -> int:
    """Remove what crashes left of queued mail, until nothing is left or the lease is over; return how many messages."""
    return run_in_batches(
        store.leases, QUEUE_LOCK, lambda: store.outbound_queue.sweep(_QUEUED_AT_ONCE), stopping
    )


def fill_search_tokens(store: Store, stopping: Callable[[], bool] = lambda: False) -> int:
    """Give mail that WildDuck stored search tokens, until none is left or the lease is over; return how many messages.

    What is done is not looked at again.
    """
    return run_in_batches(
        store.leases, SEARCH_TOKENS_LOCK, lambda: store.search_tokens.fill(_TOKENS_AT_ONCE), stopping
    )
