"""Outside the contract: is this process alive, can it work, and its numbers."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable

import orjson
import structlog
from flask import Flask, Response

from problems import InvalidToken, summary
from server.http.access import token_of
from server.http.request import current_request
from server.metrics.counters import CONTENT_TYPE, Metrics
from server.metrics.gauges import Gauges
from server.settings.table import Settings
from storage.base.database import DatabaseError, time_limit
from storage.store import Store

log = structlog.get_logger()

_KEPT_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
PATHS = frozenset({"/health", "/ready", "/metrics"})


class Readiness:
    """Pings the database and the queue in it, at most once a second, however often others ask us."""

    def __init__(self, store: Store) -> None:
        self._checks: dict[str, Callable[[], object]] = {
            "database": store.databases.ping,
            "queue": store.outbound_queue.ping,
        }
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._state: dict[str, str] = {}

    def state(self) -> dict[str, str]:
        """`ok` or `down` for each; the reason is in the log alone."""
        with self._lock:
            if time.monotonic() - self._read_at > _KEPT_SECONDS:
                self._state = {name: self._ping(name, check) for name, check in self._checks.items()}
                self._read_at = time.monotonic()
            return self._state

    def _ping(self, name: str, check: Callable[[], object]) -> str:
        try:
            with time_limit(_ANSWER_SECONDS):
                check()
        except DatabaseError as error:
            log.warning("not ready", part=name, reason=summary(error))
            return "down"
        return "ok"


def install(app: Flask, settings: Settings, store: Store, metrics: Metrics | None) -> None:
    """Serve `/health` and `/ready` to everyone, `/metrics` to holders of its token."""
    readiness = Readiness(store)
    app.add_url_rule("/health", "health", health)
    app.add_url_rule("/ready", "ready", lambda: ready(readiness))
    if metrics and settings.metrics_token:
        gauges = Gauges(store)

        def page() -> Response:
            given = token_of(current_request()).encode()
            if not hmac.compare_digest(given, settings.metrics_token.encode()):
                raise InvalidToken
            return Response(metrics.page(gauges), content_type=CONTENT_TYPE)

        app.add_url_rule("/metrics", "metrics", page)


def health() -> Response:
    """Answer that this process is alive; nothing else is asked, so that a lost database restarts no process."""
    return _json({"status": "ok"}, 200)


def ready(readiness: Readiness) -> Response:
    """Answer whether requests should be sent here now."""
    state = readiness.state()
    fine = all(value == "ok" for value in state.values())
    return _json({"status": "ok" if fine else "down", **state}, 200 if fine else 503)


def _json(body: dict[str, str], status: int) -> Response:
    response = Response(orjson.dumps(body), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
