"""Numbers that the database knows: how much waits, and for how long. Read when asked, at most every ten seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import structlog
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from problems import summary
from storage.backlog import Backlog
from storage.base.database import DatabaseError, time_limit
from storage.store import Store

log = structlog.get_logger()

_KEPT_SECONDS = 10.0
_READ_SECONDS = 5.0


class Gauges:
    """A collector of prometheus_client."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._backlog: Backlog | None = None

    def collect(self) -> Iterable[Metric]:
        """Called by prometheus_client."""
        backlog = self._latest()
        up = GaugeMetricFamily("mallard_database_up", "Whether the database answers.")
        up.add_metric([], 0.0 if backlog is None else 1.0)
        yield up
        if backlog is not None:
            yield from _families(backlog)

    def _latest(self) -> Backlog | None:
        with self._lock:
            if time.monotonic() - self._read_at > _KEPT_SECONDS:
                self._backlog = self._read()
                self._read_at = time.monotonic()
            return self._backlog

    def _read(self) -> Backlog | None:
        try:
            with time_limit(_READ_SECONDS):
                return self._store.backlog()
        except DatabaseError as error:
            log.warning("metrics could not be read from the database", reason=summary(error))
            return None


def _families(backlog: Backlog) -> Iterable[Metric]:
    gauge = GaugeMetricFamily
    yield gauge("mallard_queue_recipients", "Recipients in the outbound queue.", backlog.queued)
    yield gauge("mallard_queue_due", "Recipients due now, 10,000 at most.", backlog.due)
    yield gauge("mallard_queue_oldest_seconds", "Age of the oldest of them.", backlog.oldest_queued)
    yield gauge("mallard_tasks_oldest_seconds", "How long the first task has been due.", backlog.oldest_task)
    tasks = gauge("mallard_tasks", "Background tasks.", labels=["task", "status"])
    for (kind, status), count in backlog.tasks.items():
        tasks.add_metric([kind, status], count)
    yield tasks
