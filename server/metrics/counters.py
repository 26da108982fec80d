"""What Prometheus reads: requests, their time and the database's, log-ins refused, jobs."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

from flask import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from server.http.request import ApiRequest
from server.metrics.gauges import Gauges
from server.metrics.tally import Key, Numbers, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_INFINITE = len(_BOUNDS)
_SECONDS, _DATABASE = _INFINITE + 1, _INFINITE + 2
_LENGTH = _DATABASE + 1
_LOG_INS = frozenset({"authenticate", "checkTotp2FA"})


class Metrics:
    """The numbers of this process, and a page of the numbers of all processes that share its folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._tally = Tally(folder)
        self._requests: dict[tuple[str | None, int, str], list[float]] = {}
        self._commands: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def request_ended(self, request: ApiRequest, response: Response) -> None:
        """Called with every answer. How many fell under each bound, then seconds, then seconds in the database."""
        seconds = time.perf_counter() - request.started
        key = (request.operation_id, response.status_code, request.problem)
        line = self._requests.get(key) or self._request_line(key)
        line[bisect_left(_BOUNDS, seconds)] += 1
        line[_SECONDS] += seconds
        line[_DATABASE] += request.database_seconds

    def _request_line(self, key: tuple[str | None, int, str]) -> list[float]:
        operation, status, code = key
        line = self._tally.line(("request", operation or "-", str(status), code), _LENGTH)
        self._requests[key] = line
        return line

    def command_ended(self, command: str, seconds: float) -> None:
        """Called with every command to the database."""
        with self._lock:
            line = self._commands.get(command)
            if line is None:
                line = self._commands[command] = self._tally.line(("command", command), 2)
            line[0] += 1
            line[1] += seconds

    def command_was_slow(self, command: str) -> None:
        """Called with every command that is logged as slow."""
        with self._lock:
            self._tally.line(("slow", command), 1)[0] += 1

    def job_ended(self, kind: str, result: str, seconds: float) -> None:
        """Called with every job, `result` being `done`, `failed`, `stopped` or `lost`."""
        with self._lock:
            line = self._tally.line(("job", kind, result), 2)
            line[0] += 1
            line[1] += seconds

    def page(self, gauges: Gauges | None = None) -> bytes:
        """All numbers of this machine in Prometheus' text format, and those that are read from the database."""
        registry = CollectorRegistry()
        registry.register(_Page(self._tally.total()))
        if gauges:
            registry.register(gauges)
        return generate_latest(registry)


class _Page:
    """Numbers as metrics."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def _of(self, kind: str) -> Iterator[tuple[Key, list[float]]]:
        return ((key[1:], values) for key, values in sorted(self._numbers.items()) if key[0] == kind)

    def collect(self) -> Iterable[Metric]:
        """Called by prometheus_client."""
        yield from self._requests()
        yield from self._times()
        commands = SummaryMetricFamily("mallard_database_seconds", "Database commands.", labels=["command"])
        for labels, (count, seconds) in self._of("command"):
            commands.add_metric(labels, int(count), seconds)
        yield commands
        slow = CounterMetricFamily(
            "mallard_database_slow", "Commands that were logged as slow.", labels=["command"]
        )
        for labels, (count,) in self._of("slow"):
            slow.add_metric(labels, count)
        yield slow
        jobs = SummaryMetricFamily("mallard_job_seconds", "Jobs that ended.", labels=["task", "result"])
        for labels, (count, seconds) in self._of("job"):
            jobs.add_metric(labels, int(count), seconds)
        yield jobs

    def _requests(self) -> Iterable[Metric]:
        labels = ["operation", "status", "code"]
        requests = CounterMetricFamily("mallard_requests", "Requests answered.", labels=labels)
        refused = CounterMetricFamily("mallard_logins_failed", "Log-ins refused.", labels=["code"])
        for key, line in self._of("request"):
            count = sum(line[:_SECONDS])
            requests.add_metric(key, count)
            if key[0] in _LOG_INS and key[2]:
                refused.add_metric([key[2]], count)
        yield requests
        yield refused

    def _times(self) -> Iterable[Metric]:
        by_operation: Numbers = {}
        for key, line in self._of("request"):
            sums = by_operation.setdefault(key[:1], [0.0] * _LENGTH)
            by_operation[key[:1]] = [a + b for a, b in zip(sums, line, strict=True)]
        latency = HistogramMetricFamily(
            "mallard_request_seconds", "Time to the answer, or to a stream's beginning.", labels=["operation"]
        )
        database = SummaryMetricFamily(
            "mallard_request_database_seconds",
            "Time that requests waited for the database.",
            labels=["operation"],
        )
        for key, line in by_operation.items():
            counts = list(accumulate(line[:_SECONDS]))
            bounds = [*map(str, _BOUNDS), "+Inf"]
            latency.add_metric(key, list(zip(bounds, counts, strict=True)), line[_SECONDS])
            database.add_metric(key, int(counts[-1]), line[_DATABASE])
        yield latency
        yield database
