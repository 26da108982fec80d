"""The WSGI application: the contract's operations, Swagger UI, errors, CORS and the request log."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

import structlog
from flask import Flask, Response, g, redirect, request
from werkzeug.routing import Rule

from jobs.streams import Streams
from server import errors
from server.access import Gate
from server.api import ContractApi
from server.context import request_id
from server.contract import Contract
from server.cors import Cors
from server.logging import masked
from server.rules import rules_of
from server.settings import Settings
from storage.store import Store

_UI_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
_ANSWER_POLICY = "script-src 'none'"
"""An attachment that a browser opens as a page must not act in the name of who opened it."""

log = structlog.get_logger()


class ExactRule(Rule):
    """A route that answers the methods of the contract and no HEAD of its own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.methods:
            self.methods.discard("HEAD")


def create_app(settings: Settings, store: Store, contract: Contract | None = None) -> Flask:
    """Build the application. Fails when an operation has no handler or one that does not fit it."""
    app = Flask("mallard", static_folder=None)
    app.url_rule_class = ExactRule
    app.url_map.merge_slashes = False
    errors.install(app)
    Cors(settings.cors_origins, is_open=not settings.needs_token).install(app)
    _log_requests(app)
    rules = rules_of(settings)
    gate = Gate(settings, store)
    streams = Streams(
        store, partial(store.tokens.living, secret=settings.secret, lifetime=settings.token_lifetime)
    )
    app.extensions["streams"] = streams
    api = ContractApi(
        contract or Contract(), store, gate, rules, streams, check_responses=settings.validate_responses
    )
    app.register_blueprint(api.blueprint)
    app.add_url_rule("/", "start", lambda: redirect("/ui/"))
    return app


def _log_requests(app: Flask) -> None:
    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = request_id()
        response.headers["X-Content-Type-Options"] = "nosniff"
        policy = _UI_POLICY if request.path.startswith("/ui/") else _ANSWER_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        if log.is_enabled_for(logging.INFO):
            log.info("request", **_facts(response))
        return response


def _facts(response: Response) -> dict[str, Any]:
    caller = g.get("caller")
    return {
        "id": request_id(),
        "operation": g.get("operation_id"),
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else None,
        "status": response.status_code,
        "ms": round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 1),
        "bytes": _length(response),
        "user": caller.user if caller else None,
        "role": caller.role if caller else None,
        "client": request.remote_addr,
        **({"input": masked(g.input)} if "input" in g else {}),
    }


def _length(response: Response) -> int | None:
    """Asking a streamed answer for its length would read all of it into memory."""
    return response.content_length if response.is_streamed else response.calculate_content_length()
