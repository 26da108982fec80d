"""An LMTP server of the test's own in a thread, over a real database, and clients that speak to it."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from bson import ObjectId

from delivery.inbound.lmtp import Connection
from delivery.inbound.service import Service
from server.processes.lmtp import make_service
from server.settings.table import Settings
from storage.store import Store
from tests.rows import Row


class Records:
    """A DNS that knows what it is given."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}

    def lookup(self, name: str, kind: str) -> list[str]:
        return self.records.get((name, kind), [])


class LmtpServer:
    """Serves on a free port until it is stopped."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.dns = Records()
        self.pool = ThreadPoolExecutor(8)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.service: Service = self.run(self._made(settings, store))
        self._server = self.run(
            self._loop.create_server(partial(Connection, self.service, self._loop), "127.0.0.1", 0)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _made(self, settings: Settings, store: Store) -> Service:
        return make_service(settings, store, self.dns, self.pool, self.pool)

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self.run(self.service.stop(10))
        self.pool.shutdown()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def client(self) -> smtplib.LMTP:
        return smtplib.LMTP("127.0.0.1", self.port, timeout=30)

    def send(
        self, raw: bytes, *recipients: str, sender: str = "grace@example.org", options: Any = ()
    ) -> list[str]:
        """Hand a message in as an MTA does; the reply for each recipient."""
        with Raw(self.port) as raw_client:
            return raw_client.send(raw, *recipients, sender=sender, options=options)


class Raw:
    """A client that says what it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def write(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> str:
        """The next reply, its lines joined; empty at the end of the connection."""
        lines: list[str] = []
        while line := self.file.readline().decode():
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
        return "\n".join(lines)

    def say(self, command: str | bytes) -> str:
        self.write((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.reply()

    def send(
        self, raw: bytes, *recipients: str, sender: str = "grace@example.org", options: Any = ()
    ) -> list[str]:
        self.say("LHLO mx.example.net")
        assert self.say(" ".join([f"MAIL FROM:<{sender}>", *options])).startswith("250 2.1.0"), sender
        replies = [self.say(f"RCPT TO:<{recipient}>") for recipient in recipients]
        taken = [reply for reply in replies if reply.startswith("250")]
        if not taken:
            return replies
        assert self.say("DATA").startswith("354")
        stuffed = raw.replace(b"\r\n.", b"\r\n..")
        self.write((b"." if raw.startswith(b".") else b"") + stuffed)
        self.write(b".\r\n" if raw.endswith(b"\r\n") or not raw else b"\r\n.\r\n")
        said = iter([self.reply() for _ in taken])
        return [next(said) if reply.startswith("250") else reply for reply in replies]


class Inboxes:
    """What tests look at after a delivery."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def messages(self, user: ObjectId, path: str | None = None) -> list[Row]:
        wanted: Row = {"user": user}
        if path:
            wanted["mailbox"] = self.store.mailboxes.by_path(user, path)["_id"]
        return list(self.store.databases.main["messages"].find(wanted).sort("_id", 1))

    def source(self, message: Row) -> bytes:
        return b"".join(self.store.messages.source(message))

    def queued(self) -> list[Row]:
        """The queue's entries, each with its envelope as `data` and its bytes as `raw`."""
        sender = self.store.databases.sender
        entries = list(sender["zone-queue"].find().sort([("id", 1), ("seq", 1)]))
        for entry in entries:
            file = sender["mail.files"].find_one({"filename": f"message {entry['id']}"})
            assert file
            chunks = sender["mail.chunks"].find({"files_id": file["_id"]}).sort("n", 1)
            entry["data"] = file["metadata"]["data"]
            lines = "".join(h["line"] + "\r\n" for h in entry["data"]["headers"]).encode("latin-1")
            entry["raw"] = lines + b"\r\n" + b"".join(chunk["data"] for chunk in chunks)
        return entries

    def files(self) -> int:
        """How many messages lie beside the queue, with entries or without."""
        return self.store.databases.sender["mail.files"].count_documents({})


@pytest.fixture
def lmtp_settings(settings: Settings) -> Settings:
    return replace(settings, lmtp_name="mallard.example", graceful_timeout=5)


@pytest.fixture
def start_lmtp(store: Store, lmtp_settings: Settings) -> Iterator[Callable[..., LmtpServer]]:
    """Starts servers, with further settings; all are stopped after the test."""
    started: list[LmtpServer] = []

    def start(*, on: Store = store, **changes: Any) -> LmtpServer:
        started.append(LmtpServer(on, replace(lmtp_settings, **changes)))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def lmtp(start_lmtp: Callable[..., LmtpServer]) -> LmtpServer:
    return start_lmtp()


@pytest.fixture
def inboxes(store: Store) -> Inboxes:
    return Inboxes(store)
