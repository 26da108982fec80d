"""gunicorn with gevent workers, serving the application.

The contract is read and the handlers are loaded once, before the workers are forked, so that these share the memory;
each worker opens its own database connections.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from functools import partial
from types import FrameType
from typing import Any

import gevent
from gunicorn.app.base import BaseApplication

from server.contract.operations import Contract
from server.http.app import create_app
from server.http.routing import find_handler
from server.metrics.counters import Metrics
from server.metrics.gauges import Gauges
from server.metrics.page import OnAddress, shared_folder, wants_metrics
from server.processes import logging as logs
from server.processes.graceful import GracefulWorker
from server.processes.mongod import prepare_child
from server.processes.store import complete, open_store
from server.settings.table import Settings
from updates.hub import StreamHub

_CONNECTIONS_PER_WORKER = 10_000
_LAST_STREAMS_SECONDS = 2.0


class Worker(GracefulWorker):
    """A worker that ends its event streams with the first signal to stop; other requests have time to finish."""

    def load_wsgi(self) -> None:
        """Called by gunicorn after the fork."""
        super().load_wsgi()
        self._stream_hub = self.wsgi.extensions["stream_hub"] = StreamHub()

    def run(self) -> None:
        """Serve, then stop."""
        super().run()
        self._stream_hub.join(_LAST_STREAMS_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by gunicorn on SIGTERM. Signal handlers may not wait for locks, so a greenlet does it."""
        gevent.spawn(self.wsgi.extensions["streams"].shut_down)
        super().handle_exit(sig, frame)


class Workers(BaseApplication):  # type: ignore[misc]
    """The API's processes: an arbiter and `settings.workers` workers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contract = Contract()
        for operation in self._contract.operations:
            find_handler(operation)
        super().__init__()

    def load_config(self) -> None:
        """Called by gunicorn for its own settings."""
        options: Mapping[str, object] = {
            "bind": [bind for bind in (self._settings.bind, self._settings.metrics_bind) if bind],
            "workers": self._settings.workers,
            "worker_class": Worker,
            "worker_connections": _CONNECTIONS_PER_WORKER,
            "graceful_timeout": self._settings.graceful_timeout,
            "timeout": 120,
            "keepalive": 75,
            "proc_name": "mallard-api",
            "control_socket_disable": True,
            "accesslog": None,
            "loglevel": "warning",
            "limit_request_line": 8190,
            "post_fork": _prepare_tls if self._settings.tls else _prepare,
            "when_ready": _freeze,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Called by gunicorn in each worker."""
        logs.configure(self._settings.log_format, self._settings.log_level)
        metrics = Metrics(shared_folder()) if wants_metrics(self._settings) else None
        store = open_store(self._settings, metrics)
        complete(store)
        app = create_app(self._settings, store, self._contract, metrics)
        if metrics and self._settings.metrics_bind:
            page = partial(metrics.page, Gauges(store))
            app.wsgi_app = OnAddress(app.wsgi_app, self._settings.metrics_bind, page)  # type: ignore[method-assign]
        return app


def _prepare(server: Any, worker: Any) -> None:
    """Called by gunicorn in a new worker."""
    prepare_child()


def _prepare_tls(server: Any, worker: Any) -> None:
    """gunicorn says `https` to the application where it has the name of a file with a certificate."""
    _prepare(server, worker)
    worker.cfg.set("certfile", "-")


def _freeze(server: Any) -> None:
    """Leave what was loaded out of garbage collection, so that the workers go on sharing its memory."""
    gc.collect()
    gc.freeze()
