"""Flask without what no operation here needs: sessions, coroutines, hooks by blueprint, routing by host name.

Together these cost more than access control and validation; `make bench` shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.routing import MapAdapter, Rule

from server.http.request import ApiRequest, current_request

Arrival = Callable[[ApiRequest], Response | None]
Departure = Callable[[ApiRequest, Response], None]


class ExactRule(Rule):
    """A route that answers the contract's methods, without an automatic HEAD."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.methods:
            self.methods.discard("HEAD")


class _NoSession(SessionInterface):
    """Callers are known by their tokens."""

    _nobody = SessionInterface().null_session_class()

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        """Called by Flask for each request."""
        return self._nobody


class Application(Flask):
    """Flask with plain hooks: `arrivals` may answer in place of the operation, `departures` add headers."""

    url_rule_class = ExactRule
    request_class = ApiRequest
    session_interface = _NoSession()

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self.url_map.merge_slashes = False
        self.arrivals: list[Arrival] = []
        self.departures: list[Departure] = []

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Called by Flask for every function; none here is a coroutine."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Called by Flask to route a request: by path and method alone, regardless of its host."""
        if request is None:
            return None
        environ = request.environ
        return MapAdapter(
            self.url_map,
            environ.get("HTTP_HOST") or environ["SERVER_NAME"],
            request.root_path or "/",
            "",
            environ["wsgi.url_scheme"],
            request.path,
            request.method,
            environ.get("QUERY_STRING"),
        )

    def preprocess_request(self) -> Response | None:
        """Called by Flask before it looks for the operation."""
        request = current_request()
        return next((answer for arrival in self.arrivals if (answer := arrival(request))), None)

    def process_response(self, response: Response) -> Response:
        """Called by Flask with every answer."""
        request = current_request()
        for departure in self.departures:
            departure(request, response)
        return response
