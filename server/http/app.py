"""The WSGI application: the contract's operations, Swagger UI, errors, CORS and the request log."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial

import structlog
from flask import Response

from server.contract.operations import Contract
from server.http import errors
from server.http.access import Gate
from server.http.cors import Cors
from server.http.request import ApiRequest
from server.http.routing import ContractApi
from server.http.tls import Contexts, default_context
from server.http.wsgi import Application
from server.metrics.counters import Metrics
from server.metrics.page import shared_folder, wants_metrics
from server.pages import health, site
from server.processes.logging import masked
from server.settings.rules import rules_of
from server.settings.table import Settings
from storage.store import Store
from updates.listeners import Streams

_UI_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
_ANSWER_POLICY = "script-src 'none'"
"""An attachment that a browser opens as a page must not act in the name of who opened it."""

log = structlog.get_logger()


def create_app(
    settings: Settings, store: Store, contract: Contract | None = None, metrics: Metrics | None = None
) -> Application:
    """Build the application. Fails when an operation has no handler or one that does not fit it."""
    app = Application("mallard")
    errors.install(app)
    cors = Cors(settings.cors_origins, is_open=not settings.needs_token)
    app.arrivals += cors.arrivals
    app.departures += [cors.mark, _secure, _log]
    if metrics := metrics or (Metrics(shared_folder()) if wants_metrics(settings) else None):
        app.departures.append(metrics.request_ended)
    rules = rules_of(settings)
    gate = Gate(settings, store)
    streams = Streams(
        store, partial(store.tokens.living, secret=settings.secret, lifetime=settings.token_lifetime)
    )
    app.extensions["streams"] = streams
    app.extensions["tls"] = Contexts(store.certs, default_context(settings)) if settings.tls else None
    contract = contract or Contract()
    api = ContractApi(contract, store, gate, rules, streams, check_responses=settings.validate_responses)
    app.register_blueprint(api.blueprint)
    site.install(app, settings, contract)
    health.install(app, settings, store, metrics)
    return app


def _secure(request: ApiRequest, response: Response) -> None:
    headers = response.headers
    headers.add("X-Request-Id", request.id)
    headers.add("X-Content-Type-Options", "nosniff")
    if "Content-Security-Policy" not in headers:
        policy = _UI_POLICY if request.path.startswith("/ui/") else _ANSWER_POLICY
        headers.add("Content-Security-Policy", policy)


def _log(request: ApiRequest, response: Response) -> None:
    if log.is_enabled_for(logging.INFO) and request.path not in health.PATHS:
        log.info("request", **_facts(request, response))


def _facts(request: ApiRequest, response: Response) -> Mapping[str, object]:
    caller = request.caller
    return {
        "id": request.id,
        "operation": request.operation_id,
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else None,
        "status": response.status_code,
        "ms": round((time.perf_counter() - request.started) * 1000, 1),
        "db_ms": round(request.database_seconds * 1000, 1),
        "bytes": _length(response),
        "user": caller.user if caller else None,
        "role": caller.role if caller else None,
        "client": request.remote_addr,
        **({} if request.fields is None else {"input": masked(request.fields)}),
    }


def _length(response: Response) -> int | None:
    """Asking a streamed answer for its length would read all of it into memory."""
    return response.content_length if response.is_streamed else response.calculate_content_length()
