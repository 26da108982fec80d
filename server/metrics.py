"""What Prometheus is told, kept by all processes of one machine together.

Under `mallard serve` and `mallard api` every process writes its numbers into files of one folder
(PROMETHEUS_MULTIPROC_DIR), and whichever is asked adds them up. Children of a metric are looked up once and kept:
to count a request takes a few microseconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import partial

from flask import Response
from prometheus_client import CollectorRegistry, Counter, Histogram, Summary, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from server.context import ApiRequest
from server.gauges import Gauges

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LOG_INS = frozenset({"authenticate", "checkTotp", "checkU2f"})


class Metrics:
    """The numbers of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        summary = partial(Summary, registry=self._registry)
        self._requests = counter("mallard_requests", "Requests answered.", ["operation", "status", "code"])
        self._latency = Histogram(
            "mallard_request_seconds",
            "Time to the answer, or to the beginning of a stream.",
            ["operation"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._database = summary(
            "mallard_request_database_seconds", "Time that a request waited for the database.", ["operation"]
        )
        self._commands = summary("mallard_database_seconds", "Time of database commands.", ["command"])
        self._slow = counter("mallard_database_slow", "Commands over the limit of the log.", ["command"])
        self._failed = counter("mallard_logins_failed", "Log-ins refused.", ["code"])
        self._jobs = summary("mallard_job_seconds", "Time of jobs that ended.", ["task", "result"])
        self._of_request: dict[tuple[str, int, str], tuple[Counter, Histogram, Summary]] = {}
        self._of_command: dict[str, Summary] = {}

    def request_ended(self, request: ApiRequest, response: Response) -> None:
        """Called with every answer."""
        key = (request.operation_id or "-", response.status_code, request.problem)
        found = self._of_request.get(key)
        if found is None:
            found = self._of_request[key] = self._children(*key)
        requests, latency, database = found
        requests.inc()
        latency.observe(time.perf_counter() - request.started)
        database.observe(request.database_seconds)
        if request.problem and key[0] in _LOG_INS:
            self._failed.labels(request.problem).inc()

    def _children(self, operation: str, status: int, code: str) -> tuple[Counter, Histogram, Summary]:
        return (
            self._requests.labels(operation, str(status), code),
            self._latency.labels(operation),
            self._database.labels(operation),
        )

    def command_ended(self, command: str, seconds: float) -> None:
        """Called with every command to the database."""
        found = self._of_command.get(command)
        if found is None:
            found = self._of_command[command] = self._commands.labels(command)
        found.observe(seconds)

    def command_was_slow(self, command: str) -> None:
        """Called with every command that the log tells of."""
        self._slow.labels(command).inc()

    def job_ended(self, kind: str, result: str, seconds: float) -> None:
        """Called with every job, `result` being `done`, `failed`, `stopped` or `lost`."""
        self._jobs.labels(kind, result).observe(seconds)

    def page(self, gauges: Gauges | None = None) -> bytes:
        """All numbers of this machine in Prometheus' text format, and those that are read from the database."""
        registry = CollectorRegistry()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            registry.register(_Own(self._registry))
        if gauges:
            registry.register(gauges)
        return generate_latest(registry)


class _Own:
    """The numbers of this process alone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        """Called by prometheus_client."""
        return self._registry.collect()
