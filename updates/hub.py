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

from handlers.answer import Live
from problems import summary
from updates.stream import KEEP_ALIVE_SECONDS

log = structlog.get_logger()

_GREENLETS = 16
_TICK_SECONDS = 1.0
_READ, _WRITE = 1, 2
_INPUT = 4096
_IDLE, _BLOCKED, _AT_WORK = range(3)
_LAST_CHUNK = b"0\r\n\r\n"


class HandedOver(OSError):
    """Ends the request whose connection goes on without it; the WSGI server must not write to it any more."""

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, "the connection was handed over")


class Line:
    """One live stream and its connection."""

    __slots__ = (
        "_outlet", "again", "chunked", "descriptor", "due", "gone", "left", "source", "state", "waiting", "watcher",
    )  # fmt: skip

    def __init__(self, outlet: Outlet, descriptor: int, source: Live, *, chunked: bool) -> None:
        self._outlet = outlet
        self.descriptor = descriptor
        self.source = source
        self.chunked = chunked
        self.state = _IDLE
        self.again = self.gone = False
        self.due = time.monotonic() + KEEP_ALIVE_SECONDS
        self.waiting: Iterator[bytes] | None = source.first()
        self.left: memoryview | None = None
        self.watcher = gevent.get_hub().loop.io(descriptor, _READ)

    def watch(self, events: int) -> None:
        """Be told of these events of the connection."""
        self.watcher.stop()
        self.watcher.events = events
        self.watcher.start(self._happened, pass_events=True)

    def _happened(self, events: int) -> None:
        """Called by the event loop, which nothing may hold up."""
        if events & _READ and not self._client_is_there():
            self.drop()
        elif events & _WRITE:
            self.watch(_READ)
            self.work()

    def _client_is_there(self) -> bool:
        """What a client sends behind its request is not looked at."""
        try:
            return bool(os.read(self.descriptor, _INPUT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def work(self) -> None:
        """Have a greenlet serve this stream, unless one does."""
        if self.state != _AT_WORK:
            self.state = _AT_WORK
            self._outlet.queue.put(self)

    def wake(self) -> None:
        """There may be news. A client that has not taken what is old gets them later."""
        self.again = True
        if self.state == _IDLE or self.source.ended:
            self.work()

    def drop(self) -> None:
        """Cut the connection."""
        self.gone = True
        self.watcher.stop()
        self.work()

    def keep_alive(self, now: float) -> None:
        """Send a sign of life if it is time for one."""
        if self.state == _IDLE and now >= self.due:
            self.waiting = iter((self.source.idling(),))
            self.work()


class Passing:
    """The body of a live stream's response: nothing, and then the connection is the outlet's."""

    def __init__(self, connection: Any, take: Callable[[int], None], source: Live) -> None:
        self._connection = connection
        self._take = take
        self._source: Live | None = source
        self._begun = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Nothing at first, which makes the server send the headers."""
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


class Outlet:
    """All live streams of this process."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Line] = SimpleQueue()
        self._lines: set[Line] = set()
        self._started = False

    def passing(self, environ: Mapping[str, Any], source: Live) -> Passing | None:
        """A body that takes the connection of a request over for a stream; None where TLS is spoken on it."""
        if isinstance(environ["gunicorn.socket"], ssl.SSLSocket):
            return None
        chunked = environ["SERVER_PROTOCOL"] != "HTTP/1.0"

        def take(descriptor: int) -> None:
            self._take(descriptor, source, chunked=chunked)

        return Passing(environ["gunicorn.socket"], take, source)

    def _take(self, descriptor: int, source: Live, *, chunked: bool) -> None:
        os.set_blocking(descriptor, False)
        line = Line(self, descriptor, source, chunked=chunked)
        self._lines.add(line)
        if not self._started:
            self._start()
        line.watch(_READ)
        source.call(line.wake, line.drop)
        line.work()

    def _start(self) -> None:
        self._started = True
        for _ in range(_GREENLETS):
            gevent.spawn(self._serve)
        gevent.spawn(self._keep_alive)

    def join(self, seconds: float) -> None:
        """Wait until all streams have ended, but no longer than so many seconds."""
        deadline = time.monotonic() + seconds
        while self._lines and time.monotonic() < deadline:
            gevent.sleep(0.01)

    def _keep_alive(self) -> None:
        while True:
            gevent.sleep(_TICK_SECONDS)
            now = time.monotonic()
            for line in list(self._lines):
                line.keep_alive(now)

    def _serve(self) -> None:
        while True:
            line = self.queue.get()
            try:
                self._send(line)
            except Exception as error:
                log.warning("a stream broke off", reason=summary(error))
                self._close(line)

    def _send(self, line: Line) -> None:
        """Send what there is until there is nothing more, or until the client does not take it."""
        while not line.gone:
            if line.left:
                if not _flush(line):
                    return
            elif line.source.ended:
                _end(line)
                break
            elif not _next_chunk(line):
                line.state = _IDLE
                return
        self._close(line)

    def _close(self, line: Line) -> None:
        if line not in self._lines:
            return
        self._lines.discard(line)
        line.gone = True
        line.watcher.stop()
        line.watcher.close()
        os.close(line.descriptor)
        line.source.close()


def _next_chunk(line: Line) -> bool:
    """Make the next chunk the one that is to be sent; whether there is one."""
    while True:
        if line.waiting is None:
            if not line.again:
                return False
            line.again = False
            line.waiting = line.source.news()
        chunk = next(line.waiting, None)
        if chunk:
            framed = b"%X\r\n%b\r\n" % (len(chunk), chunk) if line.chunked else chunk
            line.left = memoryview(framed)
            return True
        line.waiting = None


def _flush(line: Line) -> bool:
    """Send what is left of a chunk; whether nothing is. Otherwise the connection is watched until it takes more."""
    assert line.left
    try:
        sent = os.write(line.descriptor, line.left)
    except BlockingIOError:
        sent = 0
    except OSError:
        line.drop()
        return True
    if sent == len(line.left):
        line.left = line.source.blocked_since = None
        line.due = time.monotonic() + KEEP_ALIVE_SECONDS
        return True
    line.left = line.left[sent:]
    return _wait(line)


def _wait(line: Line) -> bool:
    if line.source.ended:
        line.drop()
        return True
    line.source.blocked_since = line.source.blocked_since or time.monotonic()
    line.state = _BLOCKED
    line.watch(_READ | _WRITE)
    return False


def _end(line: Line) -> None:
    """The mark that nothing was cut off."""
    if line.chunked:
        with suppress(OSError):
            os.write(line.descriptor, _LAST_CHUNK)
