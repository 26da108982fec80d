"""Live streams of a gevent worker, sent without a greenlet for each.

A greenlet that waits keeps a stack, its frames, the request and its environment: some 20 kB. So a live stream's
connection is taken out of its request once the headers are sent. What is left of an idle stream is a descriptor, a
watcher of the event loop, and its place in the order; a few greenlets serve those that have something to send.

All of this runs in the one thread of the event loop: between two waits nothing else happens.
"""

from __future__ import annotations

import errno
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import gevent
import structlog
from gevent.queue import SimpleQueue

from problems import summary
from updates.stream import KEEP_ALIVE_SECONDS, Live

log = structlog.get_logger()

_GREENLETS = 16
_TICK_SECONDS = 1.0
_READ, _WRITE = 1, 2
_INPUT = 4096
_IDLE, _BLOCKED, _WORKING = range(3)
_LAST_CHUNK = b"0\r\n\r\n"


class HandedOver(OSError):
    """Ends the request whose connection goes on without it; the WSGI server must not write to it any more."""

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, "the connection was handed over")


class StreamConnection:
    """One live stream and its connection."""

    __slots__ = (
        "_hub", "chunked", "chunks", "descriptor", "gone", "has_news", "idle_until", "source", "state", "unsent",
        "watcher",
    )  # fmt: skip

    def __init__(self, hub: StreamHub, descriptor: int, source: Live, *, chunked: bool) -> None:
        self._hub = hub
        self.descriptor = descriptor
        self.source = source
        self.chunked = chunked
        self.state = _IDLE
        self.has_news = self.gone = False
        self.idle_until = time.monotonic() + KEEP_ALIVE_SECONDS
        self.chunks: Iterator[bytes] | None = source.first()
        self.unsent: memoryview | None = None
        self.watcher = gevent.get_hub().loop.io(descriptor, _READ)

    def watch(self, events: int) -> None:
        """Have the event loop call back on these events of the connection."""
        self.watcher.stop()
        self.watcher.events = events
        self.watcher.start(self._happened, pass_events=True)

    def _happened(self, events: int) -> None:
        """Called by the event loop, so it must not block."""
        if events & _READ and not self._client_is_there():
            self.drop()
        elif events & _WRITE:
            self.watch(_READ)
            self.work()

    def _client_is_there(self) -> bool:
        """Return whether the client is still connected; what it sends behind its request is ignored."""
        try:
            return bool(os.read(self.descriptor, _INPUT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def work(self) -> None:
        """Have a greenlet serve this stream, unless one does already."""
        if self.state != _WORKING:
            self.state = _WORKING
            self._hub.queue.put(self)

    def wake(self) -> None:
        """There may be news; a client that is still blocked gets them later."""
        self.has_news = True
        if self.state == _IDLE or self.source.ended:
            self.work()

    def drop(self) -> None:
        """Cut the connection."""
        self.gone = True
        self.watcher.stop()
        self.work()

    def keep_alive(self, now: float) -> None:
        """Send a keep-alive comment if it is time for one."""
        if self.state == _IDLE and now >= self.idle_until:
            self.chunks = iter((self.source.idling(),))
            self.work()


class HandoverBody:
    """The body of a live stream's response: it is empty, and hands the connection over to the hub."""

    def __init__(self, connection: Any, take: Callable[[int], None], source: Live) -> None:
        self._connection = connection
        self._take = take
        self._source: Live | None = source
        self._begun = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """First an empty chunk, which makes the server send the headers."""
        if not self._begun:
            self._begun = True
            return b""
        self._take(self._connection.detach())
        self._source = None
        raise HandedOver

    def close(self) -> None:
        """Called at the end of the response; where that came before the headers were sent, there is no stream."""
        if self._source:
            self._source.close()


class StreamHub:
    """All live streams of this process."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[StreamConnection] = SimpleQueue()
        self._connections: set[StreamConnection] = set()
        self._started = False

    def handover_body(self, environ: Mapping[str, Any], source: Live) -> HandoverBody | None:
        """Return a body that hands the connection of a request over to a stream; None for connections with TLS."""
        if isinstance(environ["gunicorn.socket"], ssl.SSLSocket):
            return None
        chunked = environ["SERVER_PROTOCOL"] != "HTTP/1.0"

        def take(descriptor: int) -> None:
            self._take(descriptor, source, chunked=chunked)

        return HandoverBody(environ["gunicorn.socket"], take, source)

    def _take(self, descriptor: int, source: Live, *, chunked: bool) -> None:
        os.set_blocking(descriptor, False)
        connection = StreamConnection(self, descriptor, source, chunked=chunked)
        self._connections.add(connection)
        if not self._started:
            self._start()
        connection.watch(_READ)
        source.call(connection.wake, connection.drop)
        connection.work()

    def _start(self) -> None:
        self._started = True
        for _ in range(_GREENLETS):
            gevent.spawn(self._serve)
        gevent.spawn(self._keep_alive)

    def join(self, seconds: float) -> None:
        """Wait until all streams have ended, but no longer than so many seconds."""
        deadline = time.monotonic() + seconds
        while self._connections and time.monotonic() < deadline:
            gevent.sleep(0.01)

    def _keep_alive(self) -> None:
        while True:
            gevent.sleep(_TICK_SECONDS)
            now = time.monotonic()
            for connection in list(self._connections):
                connection.keep_alive(now)

    def _serve(self) -> None:
        while True:
            connection = self.queue.get()
            try:
                self._send(connection)
            except Exception as error:
                log.warning("a stream broke off", reason=summary(error))
                self._close(connection)

    def _send(self, connection: StreamConnection) -> None:
        """Send what there is until there is nothing more, or until the client does not take it."""
        while not connection.gone:
            if connection.unsent:
                if not _flush(connection):
                    return
            elif connection.source.ended:
                _end(connection)
                break
            elif not _next_chunk(connection):
                connection.state = _IDLE
                return
        self._close(connection)

    def _close(self, connection: StreamConnection) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        connection.gone = True
        connection.watcher.stop()
        connection.watcher.close()
        os.close(connection.descriptor)
        connection.source.close()


def _next_chunk(connection: StreamConnection) -> bool:
    """Take the next chunk to send. Return whether there is one."""
    while True:
        if connection.chunks is None:
            if not connection.has_news:
                return False
            connection.has_news = False
            connection.chunks = connection.source.news()
        chunk = next(connection.chunks, None)
        if chunk:
            framed = b"%X\r\n%b\r\n" % (len(chunk), chunk) if connection.chunked else chunk
            connection.unsent = memoryview(framed)
            return True
        connection.chunks = None


def _flush(connection: StreamConnection) -> bool:
    """Send the rest of a chunk. Return whether all of it was sent; if not, watch until it accepts more."""
    assert connection.unsent
    try:
        sent = os.write(connection.descriptor, connection.unsent)
    except BlockingIOError:
        sent = 0
    except OSError:
        connection.drop()
        return True
    if sent == len(connection.unsent):
        connection.unsent = connection.source.blocked_since = None
        connection.idle_until = time.monotonic() + KEEP_ALIVE_SECONDS
        return True
    connection.unsent = connection.unsent[sent:]
    return _wait(connection)


def _wait(connection: StreamConnection) -> bool:
    if connection.source.ended:
        connection.drop()
        return True
    connection.source.blocked_since = connection.source.blocked_since or time.monotonic()
    connection.state = _BLOCKED
    connection.watch(_READ | _WRITE)
    return False


def _end(connection: StreamConnection) -> None:
    """Send the last chunk, by which the client sees that nothing was cut off."""
    if connection.chunked:
        with suppress(OSError):
            os.write(connection.descriptor, _LAST_CHUNK)
