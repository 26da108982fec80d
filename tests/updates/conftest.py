"""The API alone, as gunicorn serves it with gevent, against the run's mongod; and clients with real sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from bson import ObjectId

from server.processes.mongod import Mongod
from storage.store import Store
from tests.rows import Row

TOKEN = "streams-root-token"


@dataclass
class Api:
    """One `mallard api` with one worker."""

    port: int
    process: subprocess.Popen[bytes]

    def stop(self) -> float:
        """Ask it to stop; the seconds that it took."""
        begin = time.monotonic()
        self.process.terminate()
        self.process.wait(40)
        return time.monotonic() - begin


def start_api(uri: str, database: str, **more: str) -> Api:
    """Start one and wait until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLARD_")}
    own = {
        "MALLARD_MONGO_URI": uri, "MALLARD_DATABASE": database, "MALLARD_BIND": f"127.0.0.1:{port}",
        "MALLARD_WORKERS": "1", "MALLARD_TOKEN": TOKEN, "MALLARD_LOG_LEVEL": "error",
        "MALLARD_VALIDATE_RESPONSES": "on", **more,
    }  # fmt: skip
    api = Api(port, subprocess.Popen([sys.executable, "-m", "commands", "api"], env={**clean, **own}))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return api
        assert api.process.poll() is None, "mallard api ended"
        time.sleep(0.1)
    raise AssertionError("mallard api did not answer in time")


@pytest.fixture(scope="session")
def api(mongod: Mongod, store_name: str) -> Iterator[Api]:
    """One for all tests that do not stop it."""
    served = start_api(mongod.uri, store_name)
    yield served
    served.stop()


@pytest.fixture(scope="session")
def store_name(databases: Any) -> str:
    """The database of the run."""
    return str(databases.main)


@dataclass
class Events:
    """A client of one stream; keeps all that it has read."""

    port: int
    user: ObjectId
    last: str | None = None
    token: str = TOKEN
    query: str = ""
    data: bytes = b""
    head: bytes = b""
    seen: list[dict[str, Any]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), 10)
        given = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        self.socket.sendall(
            f"GET /users/{self.user}/updates{self.query} HTTP/1.1\r\nHost: x\r\n"
            f"X-Access-Token: {self.token}\r\n{given}\r\n".encode()
        )
        while b"\r\n\r\n" not in self.data and self._receive(10):
            pass
        self.head, _, self.data = self.data.partition(b"\r\n\r\n")

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    @property
    def code(self) -> str:
        """The code of an answer that is no stream."""
        while not self.data.endswith(b"}\n") and self._receive(10):
            pass
        return str(json.loads(self.data)["code"])

    def _receive(self, seconds: float) -> bool:
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except ConnectionError:
            data = b""
        self.data += data
        self.ended = not data
        return not self.ended

    def _take(self) -> None:
        """Whole chunks of the body, and whole events of those."""
        while b"\r\n" in self.data:
            size, _, rest = self.data.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                return
            self.data = rest[length + 2 :]
            if length == 0:
                self.ended = True
                return
            for block in rest[:length].decode().split("\n\n")[:-1]:
                self._note(block)

    def _note(self, block: str) -> None:
        if block.startswith(":"):
            self.comments.append(block)
            return
        lines = [line.partition(": ")[::2] for line in block.split("\n")]
        shown = json.loads("\n".join(text for name, text in lines if name == "data"))
        event_id = next((text for name, text in lines if name == "id"), None)
        self.seen.append({**shown, "id": event_id})
        self.last = event_id or self.last

    def read(self, enough: Callable[[Events], bool], seconds: float = 15) -> Events:
        """Read until there is enough, or the stream has ended."""
        deadline = time.monotonic() + seconds
        self._take()
        while not enough(self) and not self.ended:
            left = deadline - time.monotonic()
            assert left > 0, f"waited too long, seen {self.seen} {self.comments}"
            self._receive(left)
            self._take()
        return self

    def wait(self, count: int, seconds: float = 15) -> list[Row]:
        """The events, once there are as many."""
        return self.read(lambda events: len(events.seen) >= count, seconds).seen

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def listen(api: Api) -> Iterator[Callable[..., Events]]:
    """`listen(user, last=…)`: a client of a stream; closed after the test."""
    clients: list[Events] = []

    def start(user: ObjectId, **options: Any) -> Events:
        clients.append(Events(options.pop("port", api.port), user, **options))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def inbox(store: Store, user: Row) -> Row:
    """INBOX of the account."""
    return store.mailboxes.by_path(user["_id"], "INBOX")
