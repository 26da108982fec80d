"""What is noted of each database operation: whose request it is for, its time, and its shape if it was slow."""

from __future__ import annotations

from typing import Any

import structlog

from server.http.request import latest_request
from server.metrics.counters import Metrics
from storage.base.watch import Watch, shape

log = structlog.get_logger()


class RequestWatch(Watch):
    """Watches for the requests of one process. `slow_ms` is the limit of the log, 0 for none."""

    def __init__(self, *, comments: bool, slow_ms: int, metrics: Metrics | None) -> None:
        self._comments = comments
        self._slow = slow_ms / 1000 or float("inf")
        self._metrics = metrics

    def comment(self) -> str | None:
        """The id of the request, as it stands in its answer and in the log."""
        request = latest_request()
        return request.id if request and self._comments else None

    def took(self, command: str, collection: str, seconds: float, given: tuple[Any, ...]) -> None:
        """Add it to the request's time and to the metrics; log it where it was slow."""
        if request := latest_request():
            request.database_seconds += seconds
        if self._metrics:
            self._metrics.command_ended(command, seconds)
        if seconds >= self._slow:
            self._log_slow(command, collection, seconds, given)

    def _log_slow(self, command: str, collection: str, seconds: float, given: tuple[Any, ...]) -> None:
        request = latest_request()
        log.warning(
            "slow database operation",
            id=request.id if request else None,
            operation=request.operation_id if request else None,
            command=command,
            collection=collection,
            ms=round(seconds * 1000, 1),
            shape=shape(given),
        )
        if self._metrics:
            self._metrics.command_was_slow(command)
