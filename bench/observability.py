"""What observability costs: `python -m bench.observability`.

The same application twice in one process, without anything that watches and with metrics, request ids in the
database and the slow-operation log. They take turns of a hundred requests; the processor time of a request counts,
which other work of the machine disturbs least.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from rich.console import Console
from rich.table import Table

from bench.mailbox import DATABASE, fill, open_store
from bench.serving import mongod
from server.http.app import create_app
from server.metrics.counters import Metrics
from server.processes import logging as logs
from server.processes.request_watch import RequestWatch
from server.settings.table import Settings
from storage.base.database import DatabaseNames
from storage.store import Store

TURNS, REQUESTS = 60, 100


def main() -> None:
    """Start the database, measure, print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder))


def _measure(folder: Path) -> None:

    logs.configure("json", "error")
    with mongod(folder / "mongod") as uri:
        paths = fill(uri)
        metrics = Metrics(folder)
        watch = RequestWatch(comments=True, slow_ms=500, metrics=metrics)
        blind = create_app(Settings(), open_store(uri))
        store = Store(MongoClient(uri), DatabaseNames(main=DATABASE), watch=watch)
        seeing = create_app(Settings(), store, metrics=metrics)
        table = Table("operation", "blind µs", "seeing µs", "more µs", "ratio")
        for name, path in paths.by_name().items():
            table.add_row(name, *_row(path, blind.wsgi_app, seeing.wsgi_app))
        Console().print(table)


def _row(path: str, blind: Callable[..., Any], seeing: Callable[..., Any]) -> list[str]:
    turns = [(_turn(blind, path), _turn(seeing, path)) for _ in range(TURNS)][TURNS // 10 :]
    without, with_it = statistics.median(a for a, _ in turns), statistics.median(b for _, b in turns)
    more = statistics.median(b - a for a, b in turns)
    return [f"{without:,.0f}", f"{with_it:,.0f}", f"{more:,.1f}", f"{1 + more / without:.3f}"]


def _turn(app: Callable[..., Any], path: str) -> float:
    """Microseconds of processor time a request."""
    place, _, query = path.partition("?")
    begun = time.process_time()
    for _ in range(REQUESTS):
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": place, "QUERY_STRING": query, "SERVER_NAME": "localhost",
            "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(), "REMOTE_ADDR": "127.0.0.1",
        }  # fmt: skip
        b"".join(app(environ, lambda status, headers, info=None: None))
    return (time.process_time() - begun) / REQUESTS * 1e6


if __name__ == "__main__":
    main()
