"""`/metrics` on an address of its own, MALLARD_METRICS_BIND, and the folder in which processes share their numbers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from server.settings.table import Settings

if TYPE_CHECKING:
    from server.metrics.counters import Metrics
    from server.metrics.gauges import Gauges

FOLDER = "MALLARD_METRICS_FOLDER"  # set for the children of a process, never by people


def share_numbers(folder: Path) -> None:
    """Have this process and its children share one folder, empty at first. One that a parent shares stays."""
    if FOLDER in os.environ:
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.glob("*.json"):
        file.unlink()
    os.environ[FOLDER] = str(folder)


def shared_folder() -> Path | None:
    """The folder, None where this process is alone."""
    return Path(os.environ[FOLDER]) if FOLDER in os.environ else None


def wants_metrics(settings: Settings) -> bool:
    """Return whether somebody will ask for the numbers of this process."""
    return bool(settings.metrics_bind or settings.metrics_token or FOLDER in os.environ)


class OnAddress:
    """A WSGI application that answers `/metrics` on one of the server's addresses, and nothing else there."""

    def __init__(self, api: WSGIApplication, address: str, page: Callable[[], bytes]) -> None:
        self._api = api
        self._port = address.rpartition(":")[2]
        self._page = page

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Called by the WSGI server, which gives the port of the socket that a request came by."""
        if str(environ["SERVER_PORT"]) != self._port:
            return self._api(environ, start_response)
        return respond(environ, start_response, self._page)


def respond(
    environ: WSGIEnvironment, start_response: StartResponse, page: Callable[[], bytes]
) -> list[bytes]:
    """The page where it is asked for by its path."""
    if environ["PATH_INFO"] != "/metrics" or environ["REQUEST_METHOD"] != "GET":
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return [b""]
    data = page()
    headers = [
        ("Content-Type", "text/plain; version=0.0.4; charset=utf-8"),
        ("Content-Length", str(len(data))),
    ]
    start_response("200 OK", headers)
    return [data]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Prometheus asks every few seconds; that is no news."""


def serve_beside(bind: str, metrics: Metrics, gauges: Gauges) -> WSGIServer:
    """Serve the page in a thread of a process that serves nothing else, such as `mallard jobs`."""
    host, _, port = bind.rpartition(":")

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return respond(environ, start_response, lambda: metrics.page(gauges))

    server = make_server(host.strip("[]"), int(port), app, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True, name="metrics").start()
    return server
