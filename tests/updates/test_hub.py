"""The hub of live streams: everything in order at the client's pace, and no connection left behind."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from updates import hub as module
from updates.hub import HandedOver, StreamHub


class Source:
    """A stream whose news are given by hand."""

    def __init__(self, *first: bytes) -> None:
        self.blocked_since: float | None = None
        self.ended = False
        self.closed = 0
        self.beginning = first
        self.fresh: list[bytes] = []
        self.wake: Callable[[], None] = lambda: None
        self.disconnect: Callable[[], None] = lambda: None

    def call(self, wake: Callable[[], None], disconnect: Callable[[], None]) -> None:
        self.wake, self.disconnect = wake, disconnect

    def first(self) -> Iterator[bytes]:
        yield from self.beginning

    def news(self) -> Iterator[bytes]:
        while self.fresh:
            if (chunk := self.fresh.pop(0)) == b"broken":
                raise ValueError("broken")
            yield chunk

    def idling(self) -> bytes:
        return b": idling\n\n"

    def close(self) -> None:
        self.closed += 1

    def tell(self, *chunks: bytes) -> None:
        self.fresh += chunks
        self.wake()

    def end(self) -> None:
        self.ended = True
        self.wake()


class Connection:
    """The client's side, and what the WSGI server holds of the other one."""

    def __init__(self) -> None:
        self.client, self._server = socket.socketpair()
        self.client.setblocking(False)

    def close(self) -> None:
        self.client.close()
        self._server.close()

    def detach(self) -> int:
        return self._server.detach()

    def read(self) -> bytes:
        """All that arrives until nothing does."""
        data = b""
        for _ in range(5):
            gevent.sleep(0.005)
            try:
                while piece := self.client.recv(1 << 20):
                    data += piece
            except BlockingIOError:
                continue
            return data + b"|"
        return data


@pytest.fixture
def connection() -> Iterator[Connection]:
    opened = Connection()
    yield opened
    opened.close()


def hand_over(hub: StreamHub, connection: Connection, source: Source, version: str = "1.1") -> None:
    """What a WSGI server does with the body."""
    body = hub.handover_body({"gunicorn.socket": connection, "SERVER_PROTOCOL": f"HTTP/{version}"}, source)
    assert body
    assert next(body) == b"", "which makes it send the headers"
    with pytest.raises(HandedOver):
        next(body)
    body.close()
    assert not source.closed


def test_first_then_news_then_the_end(connection: Connection) -> None:
    hub, source = StreamHub(), Source(b"one", b"two")
    hand_over(hub, connection, source)
    assert connection.read() == b"3\r\none\r\n3\r\ntwo\r\n"
    source.tell(b"x" * 20)
    source.wake()
    assert connection.read() == b"14\r\n" + b"x" * 20 + b"\r\n"
    source.end()
    assert connection.read() == b"0\r\n\r\n|"
    assert source.closed == 1
    source.wake()
    source.disconnect()
    gevent.sleep(0.01)
    assert source.closed == 1


def test_a_client_of_http_1_0_gets_no_chunks(connection: Connection) -> None:
    source = Source(b"one")
    hand_over(StreamHub(), connection, source, "1.0")
    source.tell(b"two")
    assert connection.read() == b"onetwo"
    source.end()
    assert connection.read() == b"|"


def test_a_slow_client_gets_everything_and_nothing_is_read_ahead_for_it(connection: Connection) -> None:
    hub, source = StreamHub(), Source()
    hand_over(hub, connection, source, "1.0")
    large = os.urandom(3_000_000)
    source.tell(large, b"second", b"third")
    gevent.sleep(0.05)
    assert source.blocked_since
    assert source.fresh == [b"second", b"third"]
    source.wake()
    data = b""
    while len(data) < len(large) + 11:
        data += connection.read()
    assert data == large + b"secondthird"
    assert source.blocked_since is None
    assert not source.closed


@pytest.mark.parametrize("how", ["end", "disconnect"])
def test_a_client_that_does_not_read_is_cut_off(connection: Connection, how: str) -> None:
    hub, source = StreamHub(), Source()
    hand_over(hub, connection, source)
    source.tell(b"x" * 3_000_000)
    gevent.sleep(0.05)
    getattr(source, how)()
    gevent.sleep(0.05)
    assert source.closed == 1
    assert not connection.read().endswith(b"0\r\n\r\n|"), "what was cut off does not look whole"
    hub.join(0)


def test_a_client_that_leaves_is_forgotten_at_once(connection: Connection) -> None:
    hub, source = StreamHub(), Source(b"one")
    hand_over(hub, connection, source)
    connection.client.send(b"GET /more HTTP/1.1\r\n\r\n")
    connection.read()
    assert not source.closed, "what it sends besides is passed over"
    connection.client.close()
    gevent.sleep(0.05)
    assert source.closed == 1


def test_a_client_that_leaves_before_the_headers(connection: Connection) -> None:
    source = Source()
    body = StreamHub().handover_body({"gunicorn.socket": connection, "SERVER_PROTOCOL": "HTTP/1.1"}, source)
    assert body
    next(body)
    body.close()
    assert source.closed == 1


def test_a_stream_that_fails_ends_alone() -> None:
    hub = StreamHub()
    pairs = [(Connection(), Source()) for _ in range(2)]
    for connection, source in pairs:
        hand_over(hub, connection, source)
    (_, bad), (connection, good) = pairs
    bad.tell(b"broken")
    good.tell(b"fine")
    assert connection.read() == b"4\r\nfine\r\n"
    assert (bad.closed, good.closed) == (1, 0)
    for connection, _ in pairs:
        connection.close()


def test_only_an_idle_stream_is_kept_alive(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE_SECONDS", 1.0)
    monkeypatch.setattr(module, "_TICK_SECONDS", 0.01)
    hub, source = StreamHub(), Source()
    hand_over(hub, connection, source, "1.0")
    for _ in range(4):
        gevent.sleep(0.35)
        source.tell(b"news")
    assert connection.read() == b"news" * 4
    gevent.sleep(1.1)
    assert connection.read() == b": idling\n\n"


def test_a_stop_waits_for_the_last_byte(connection: Connection) -> None:
    hub, source = StreamHub(), Source(b"one")
    hand_over(hub, connection, source)
    begin = time.monotonic()
    hub.join(0.1)
    assert time.monotonic() - begin > 0.09
    source.end()
    hub.join(5)
    assert time.monotonic() - begin < 1
    assert connection.read().endswith(b"0\r\n\r\n|")
