"""A receiver of webhooks that listens on loopback, and what it got."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from bson import ObjectId

from jobs.webhooks.delivery import Delivery
from network.post import Poster
from network.ssrf_guard import addresses_of
from storage.store import Store
from tests.rows import Row


@dataclass
class Post:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Row:
        found: Row = json.loads(self.body)
        return found

    @property
    def attempt(self) -> int:
        return int(self.headers["webhook-attempt"])


@dataclass
class Receiver:
    """Answers what `answer` says, after `delay` seconds."""

    url: str
    answer: Callable[[Post], int] = lambda post: 200
    delay: float = 0.0
    posts: list[Post] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def events(self) -> list[Row]:
        return [post.event for post in self.posts]


@pytest.fixture
def receive() -> Iterator[Callable[[], Receiver]]:
    """`receive()` starts a receiver on a port of its own."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start() -> Receiver:
        lock = threading.Lock()
        receiver: Receiver

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                with lock:
                    receiver.at_once += 1
                    receiver.most_at_once = max(receiver.most_at_once, receiver.at_once)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                post = Post(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                time.sleep(receiver.delay)
                with lock:
                    receiver.posts.append(post)
                    receiver.at_once -= 1
                self.send_response(receiver.answer(post))
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Not on the terminal."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook?a=b")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        servers.append((server, thread))
        return receiver

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver(receive: Callable[[], Receiver]) -> Receiver:
    return receive()


@pytest.fixture
def poster() -> Poster:
    """One that may call loopback."""
    return Poster(addresses_of)


@pytest.fixture
def delivery(store: Store, poster: Poster) -> Delivery:
    """Sends without the loop, with no jitter."""
    return Delivery(store, poster, rand=lambda: 0.5)


def deliver(store: Store, delivery: Delivery) -> int:
    """Run all that is due at this moment; how many lanes."""
    lanes = 0
    while store.webhook_queue.discover():
        pass
    while lane := store.webhook_queue.claim():
        delivery.run(lane)
        lanes += 1
    return lanes


def tell(store: Store, user: ObjectId | None, *names: str) -> None:
    """Events that differ by a name."""
    for name in names:
        if user:
            store.events.emit("mailbox.created", user=user, mailbox=ObjectId(), path=name)
        else:
            store.events.emit("address.domain.renamed", previous=name, current=name)


def told(receiver: Receiver, user: ObjectId) -> list[str]:
    """The names of the events of an account, in the order they came in."""
    return [event["path"] for event in receiver.events if event.get("user") == str(user)]
