"""Connections that are kept, and those that are ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from delivery.relay.connections import Opener, Sessions
from delivery.relay.hosts import Host
from delivery.relay.replies import Failure
from delivery.relay.routes import Route, Tls
from delivery.relay.session import Timeouts
from tests.delivery.relay.conftest import message
from tests.delivery.relay.sinks import Sink

Start = Callable[..., Any]


class Watch:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def over(server: Sink, watch: Watch, **timeouts: float) -> tuple[Sessions, Route]:
    opener = Opener("relay.example.com", Timeouts(**{"connect": 2, "command": 2, "content": 20, **timeouts}))
    route = Route(Tls.NONE, server.port, host=server.host, trusted=True)
    return Sessions(opener, lambda _: [Host(server.host, (server.host,))], watch), route


def test_an_idle_connection_is_closed_after_a_while(sink: Start) -> None:
    server, watch = sink(), Watch()
    sessions, route = over(server, watch)
    for pause, connections in ((0, 1), (4, 1), (6, 2)):
        watch.now += pause
        sessions.look_after()
        sessions.send(route, "grace@example.org", message())
        assert server.connections == connections
    sessions.close()


def test_a_connection_takes_a_hundred_messages(sink: Start) -> None:
    server, watch = sink(), Watch()
    sessions, route = over(server, watch)
    for _ in range(101):
        sessions.send(route, "grace@example.org", message())
    assert server.connections == 2
    sessions.close()


def test_what_takes_far_too_long_is_cut(sink: Start) -> None:
    server, watch = sink(pause=20), Watch()
    sessions, route = over(server, watch, content=60)
    caught: list[Failure] = []

    def send() -> None:
        with pytest.raises(Failure) as failure:
            sessions.send(route, "grace@example.org", message())
        caught.append(failure.value)

    thread = threading.Thread(target=send)
    thread.start()
    while not any("354" in text for text in server.said):
        time.sleep(0.02)
    sessions.look_after()
    assert thread.is_alive()
    watch.now += 3600
    sessions.look_after()
    thread.join(10)
    assert [failure.reply.status for failure in caught] == ["4.4.2"]


def test_a_dead_route_is_left_alone_for_a_minute(sink: Start) -> None:
    server, watch = sink(), Watch()
    sessions, route = over(server, watch)
    server.stop()
    with pytest.raises(Failure):
        sessions.send(route, "grace@example.org", message())
    again = Sink(port=server.port)
    try:
        watch.now += 59
        with pytest.raises(Failure):
            sessions.send(route, "grace@example.org", message())
        assert again.connections == 0
        watch.now += 2
        sessions.send(route, "grace@example.org", message())
        assert again.recipients == ["grace@example.org"]
    finally:
        sessions.close()
        again.stop()
