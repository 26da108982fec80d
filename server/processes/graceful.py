"""The gevent worker that stops within a moment: what is in flight is finished, idle connections are closed.

gunicorn's own keeps waiting, until the graceful timeout is over, for connections on which no request is to come.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

import gevent
import structlog
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

from problems import summary
from server.http.errors import refusal, status_of
from server.http.tls import wrap_socket
from updates.hub import HandedOver

log = structlog.get_logger()

_HEARTBEAT_SECONDS = 1.0
_BEFORE_KILL_SECONDS = 0.5
_LAST_REQUEST_SECONDS = 0.1
"""How long a stop waits for a request that a client had sent before it could know."""


class GracefulWorker(GeventWorker):  # type: ignore[misc]
    """Serves until SIGTERM; then takes no connection, and leaves as soon as the requests in flight are answered."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting: dict[gevent.Greenlet, gevent.Timeout] = {}

    def init_process(self) -> None:
        """Called by gunicorn after the fork."""
        self._stopping = Event()
        super().init_process()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM."""
        super().handle_exit(sig, frame)
        self._stopping.set()

    def handle_error(self, req: Any, client: socket.socket, addr: Any, error: BaseException) -> None:
        """Called by gunicorn for what is no request, and for a failure outside of the application."""
        status = status_of(error)
        if status == 500:
            log.error("a connection failed", exc_info=error)
        else:
            log.info("not a request", client=addr[0] if addr else None, status=status, reason=summary(error))
        with suppress(OSError):
            client.sendall(refusal(status, summary(error)))

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Around a connection's wait for its next request."""
        seconds = self.cfg.keepalive if self.alive else _LAST_REQUEST_SECONDS
        with gevent.Timeout(seconds, False) as timeout:
            self._waiting[gevent.getcurrent()] = timeout
            try:
                yield
            finally:
                del self._waiting[gevent.getcurrent()]

    def run(self) -> None:
        """Serve, then stop."""
        servers = [self._serve(listener) for listener in self.sockets]
        while self.alive:
            self.notify()
            self._stopping.wait(_HEARTBEAT_SECONDS)
        self._close(servers)
        gevent.sleep(_LAST_REQUEST_SECONDS)
        for greenlet, timeout in list(self._waiting.items()):
            greenlet.kill(timeout, block=False)
        self._finish([server.pool for server in servers])

    def handle_request(self, *arguments: Any) -> None:
        """Called by gunicorn for each request. One whose connection was handed over is the last on it."""
        try:
            super().handle_request(*arguments)
        except HandedOver as error:
            raise StopIteration from error

    def _serve(self, listener: Any) -> StreamServer:
        listener.setblocking(1)
        handle, pool = partial(self.handle, listener), Pool(self.worker_connections)
        options = {"ssl_context": self} if self.wsgi.extensions["tls"] else {}
        server = StreamServer(listener, handle=handle, spawn=pool, **options)
        if self.cfg.workers > 1:
            server.max_accept = 1
        server.start()
        return server

    def wrap_socket(self, client: socket.socket, server_side: bool) -> ssl.SSLSocket:
        """Called by gevent for each connection of a TLS listener. A stop does not wait for a client to begin."""
        with self.timeout_ctx():
            try:
                return wrap_socket(self.wsgi.extensions["tls"], client)
            except OSError as error:
                log.info("no TLS connection", reason=str(error))
        client.close()
        raise gevent.GreenletExit

    def _close(self, servers: list[StreamServer]) -> None:
        """Take nothing more. What was just accepted starts first, since it asks its listener for the address."""
        for server in servers:
            server.stop_accepting()
        gevent.sleep(0)
        for server in servers:
            server.close()

    def _finish(self, pools: list[Pool]) -> None:
        """Wait for the requests in flight, until shortly before the arbiter would kill this process."""
        deadline = time.monotonic() + self.cfg.graceful_timeout - _BEFORE_KILL_SECONDS
        while any(pools) and (left := deadline - time.monotonic()) > 0:
            self.notify()
            in_flight = [greenlet for pool in pools for greenlet in pool]
            gevent.wait(in_flight, timeout=min(left, _HEARTBEAT_SECONDS))
        if cut := sum(map(len, pools)):
            self.log.warning("%s requests were cut off, %s s after the stop", cut, self.cfg.graceful_timeout)
        for pool in pools:
            pool.kill(block=True, timeout=1)
