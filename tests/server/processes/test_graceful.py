"""A stop of `mallard api`: what is in flight is answered, nothing new is taken, idle connections hold nothing up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse

import pytest

from server.processes.mongod import Mongod

GRACE = 5
SOON = 2.5
BODY = b'{"username": "ada", "password": "correct horse battery"}'
HEAD = (
    b"POST /users HTTP/1.1\r\nHost: mallard\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


class Api:
    """One running `mallard api`."""

    def __init__(self, uri: str, database: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLARD_")}
        own = {
            "MALLARD_MONGO_URI": uri,
            "MALLARD_DATABASE": database,
            "MALLARD_BIND": f"127.0.0.1:{self.port}",
            "MALLARD_WORKERS": "1",
            "MALLARD_GRACEFUL_TIMEOUT": str(GRACE),
            "MALLARD_LOG_LEVEL": "warning",
            "MALLARD_VALIDATE_RESPONSES": "on",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "commands", "api"], env={**clean, **own}, stderr=subprocess.PIPE, text=True
        )
        self.errors = ""

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def wait(self) -> None:
        """Return once it answers."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(ConnectionRefusedError), self.connect() as connection:
                ask(connection)
                return
            time.sleep(0.05)
        raise AssertionError("mallard api did not answer in time")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended_after(self) -> float:
        """Seconds until it is gone."""
        start = time.monotonic()
        _, self.errors = self.process.communicate(timeout=60)
        return time.monotonic() - start


def ask(connection: socket.socket) -> int:
    """The status of a whole answer to a simple request."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: mallard\r\n\r\n")
    return answer_on(connection)


def answer_on(connection: socket.socket) -> int:
    with HTTPResponse(connection) as answer:
        answer.begin()
        answer.read()
        return answer.status


def is_closed(connection: socket.socket) -> bool:
    with suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


@contextmanager
def running(mongod: Mongod) -> Iterator[Api]:
    started = Api(mongod.uri, "stop")
    started.wait()
    yield started
    if started.process.poll() is None:
        started.process.kill()
        started.process.communicate()


@pytest.fixture
def api(mongod: Mongod) -> Iterator[Api]:
    """One that the test stops."""
    with running(mongod) as started:
        yield started


@pytest.fixture(scope="module")
def lasting_api(mongod: Mongod) -> Iterator[Api]:
    """One for all that does not stop it."""
    with running(mongod) as started:
        yield started


def test_idle_connections_do_not_hold_a_stop(api: Api) -> None:
    with api.connect() as used, api.connect() as unused:
        assert ask(used) == 200
        api.stop()
        assert api.ended_after() < SOON
        assert api.process.returncode == 0
        assert is_closed(used)
        assert is_closed(unused)
    assert api.errors == ""


def test_a_request_in_flight_is_answered_and_nothing_new_is_taken(api: Api) -> None:
    with api.connect() as slow:
        slow.sendall(HEAD % len(BODY) + BODY[:10])
        time.sleep(0.3)
        api.stop()
        time.sleep(1)
        with pytest.raises(ConnectionRefusedError):
            api.connect()
        assert api.process.poll() is None
        slow.sendall(BODY[10:])
        assert answer_on(slow) == 200
        assert is_closed(slow)
        assert api.ended_after() < SOON
    assert api.errors == ""


def test_a_request_that_had_been_sent_is_answered(api: Api) -> None:
    with api.connect() as connection:
        ask(connection)
        os.kill(api.process.pid, signal.SIGTERM)
        assert ask(connection) == 200
        assert api.ended_after() < SOON


def test_a_request_that_does_not_end_is_cut_off_after_the_graceful_timeout(api: Api) -> None:
    with api.connect() as endless:
        endless.sendall(HEAD % len(BODY) + BODY[:10])
        time.sleep(0.3)
        api.stop()
        assert GRACE - 1 < api.ended_after() < GRACE + SOON
    assert "1 requests were cut off" in api.errors


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: mallard\r\n\r\n", 414, "UriTooLong"),
        (b"GET / HTTP/1.1\r\nHost: mallard\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431, "RequestTooLarge"),
        (b"GET / HTTP/1.1\r\nHost: mallard\r\nb@d: 1\r\n\r\n", 400, "InvalidContent"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400, "InvalidContent"),
        (b"POST /users HTTP/1.1\r\nTransfer-Encoding: bz2\r\n\r\n", 501, "NotImplemented"),
    ],
)
def test_what_is_no_request_is_refused_as_everything_else_is(
    lasting_api: Api, sent: bytes, status: int, code: str
) -> None:
    with lasting_api.connect() as connection:
        connection.sendall(sent)
        with HTTPResponse(connection) as answer:
            answer.begin()
            body = json.loads(answer.read())
    assert (answer.status, body["code"], body["error"]) == (status, code, body["message"])
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
