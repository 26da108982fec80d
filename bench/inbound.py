"""`python -m bench.inbound`: messages per second that one LMTP process takes in, and what bounds it.

`mallard lmtp` with its settings as they are but for the limit of 60 messages a minute, one mongod, clients that wait
for each reply before they send the next message. Beside the rate stands the processor time that the LMTP process, the
mongod and the clients took for each stored message; then what one delivery does without LMTP around it.
"""

from __future__ import annotations

import os
import smtplib
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bson import ObjectId
from pymongo import MongoClient
from pymongo.monitoring import CommandListener, CommandStartedEvent, CommandSucceededEvent
from rich.console import Console
from rich.table import Table

from bench.mailbox import DATABASE, open_store
from bench.serving import part
from delivery.inbound.arrival import Envelope, Reading
from delivery.inbound.recipients import Recipients
from delivery.inbound.storing import Inbound
from handlers.call import Call
from handlers.users import create_user
from mail.message import index
from server.processes import logging as logs
from server.processes.mongod import Mongod
from storage.base.database import DatabaseNames
from storage.store import Store

ACCOUNTS = 50
SECONDS = 6.0
TEXT = "these are the minutes of the meeting, which nobody will read.\r\n" * 60


def message(number: int) -> bytes:
    """4 KB of text with the headers that mail has."""
    return (
        f"Received: from mx.example.org (mx.example.org [203.0.113.7]) by in.example.com with ESMTPS id {number};"
        f" Wed, 25 Nov 2026 10:00:00 +0000\r\nFrom: Grace Hopper <grace{number % 7}@example.org>\r\n"
        f"To: Ada <ada@example.com>\r\nSubject: Minutes {number}\r\n"
        f"Message-ID: <{number}.{time.time_ns()}@example.org>\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n{TEXT}"
    ).encode()


def main() -> None:
    """Start everything, deliver, print what was seen."""
    console = Console(width=120)
    logs.configure("json", "warning")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = Mongod(Path(folder), cache=512)
        server.start()
        stack.callback(server.stop)
        store = open_store(server.uri)
        store.ensure_indexes()
        for number in range(ACCOUNTS):
            body = {"username": f"u{number}", "password": "", "address": f"u{number}@example.com"}
            create_user(call=Call(store=store), body={**body, "quota": 2**40, "spamLevel": 50})
        port, process = start(server.uri)
        stack.callback(stop, process)
        pids = {"LMTP": process.pid, "mongod": int(server.pid or 0), "clients": os.getpid()}
        rounds(console, port, pids)
        one_delivery(console, server.uri)


def start(uri: str) -> tuple[int, subprocess.Popen[bytes]]:
    """`mallard lmtp`."""
    return part(
        "lmtp", uri, "MALLARD_LMTP_BIND", MALLARD_LMTP_CHECKS="disabled quota", MALLARD_LOG_LEVEL="warning"
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop."""
    process.terminate()
    process.wait(60)


def rounds(console: Console, port: int, pids: dict[str, int]) -> None:
    """Each kind of load for some seconds."""
    table = Table(
        "load", "messages/s", *(f"{name} ms/message" for name in pids), "LMTP cores", title="one process"
    )
    for name, clients, recipients in (
        ("1 client, 50 accounts", 1, lambda n: [n % ACCOUNTS]),
        ("4 clients, 50 accounts", 4, lambda n: [n % ACCOUNTS]),
        ("16 clients, 50 accounts", 16, lambda n: [n % ACCOUNTS]),
        ("16 clients, 1 account", 16, lambda n: [0]),
        ("4 clients, 10 recipients each", 4, lambda n: [(n + other) % ACCOUNTS for other in range(10)]),
    ):
        before = {key: cpu(pid) for key, pid in pids.items()}
        stored, seconds = load(port, clients, recipients)
        used = {key: cpu(pid) - before[key] for key, pid in pids.items()}
        costs = [f"{used[key] / stored * 1000:.1f}" for key in pids]
        table.add_row(name, f"{stored / seconds:,.0f}", *costs, f"{used['LMTP'] / seconds:.2f}")
    console.print(table)


def cpu(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, clients: int, recipients: Callable[[int], list[int]]) -> tuple[int, float]:
    """Deliver for some seconds; how many copies were stored, and in which time."""
    begin, lock, stored = time.monotonic(), threading.Lock(), [0]

    def work(client: int) -> None:
        number = client
        with smtplib.LMTP("127.0.0.1", port) as connection:
            connection.ehlo_or_helo_if_needed()
            while time.monotonic() - begin < SECONDS:
                to = [f"u{n}@example.com" for n in recipients(number)]
                delivered = send(connection, message(number), to)
                with lock:
                    stored[0] += delivered
                number += clients

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))
    return stored[0], time.monotonic() - begin


def send(connection: smtplib.LMTP, raw: bytes, to: list[str]) -> int:
    """One message, its commands in one packet; how many recipients have it."""
    lines = ["MAIL FROM:<grace@example.org>", *(f"RCPT TO:<{address}>" for address in to), "DATA"]
    connection.send("".join(line + "\r\n" for line in lines))
    codes = [connection.getreply()[0] for _ in lines]
    assert codes == [250] * (len(to) + 1) + [354], codes
    connection.send(raw + b".\r\n")
    replies = [connection.getreply() for _ in to]
    assert all(b"stored as" in text for _, text in replies), replies
    return len(replies)


@dataclass(slots=True)
class Commands(CommandListener):
    """What is asked of the database."""

    names: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def started(self, event: CommandStartedEvent) -> None:
        """Called by PyMongo."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Called by PyMongo."""
        self.names.append(event.command_name)
        self.seconds += event.duration_micros / 1e6

    def failed(self, event: object) -> None:
        """Called by PyMongo."""


def one_delivery(console: Console, uri: str) -> None:
    """One thread, no LMTP: what a delivery consists of."""
    seen = Commands()
    store = Store(MongoClient(uri, event_listeners=[seen]), DatabaseNames(main=DATABASE))
    inbound, reading = Inbound(store, "secret"), Reading()
    recipient = Recipients(store, ()).find("u1@example.com")
    count, begun = 200, time.process_time()
    arrivals = [reading.arrival(envelope(store), message(number)) for number in range(count)]
    for arrival in arrivals:
        index(arrival.raw, arrival.envelope.time)
    parsing = time.process_time() - begun
    seen.names.clear()
    seen.seconds, wall, processor = 0.0, time.monotonic(), time.process_time()
    for arrival in arrivals:
        inbound.deliver(arrival, recipient)
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    per = 1000 / count
    console.print(
        f"one delivery, alone: {wall * per:.1f} ms, of which {seen.seconds * per:.1f} ms wait for the database "
        f"({len(seen.names) / count:.0f} commands) and {processor * per:.1f} ms are our own work "
        f"({parsing * per:.1f} ms of it taking the message apart)"
    )
    console.print(" ".join(seen.names[-round(len(seen.names) / count) :]))


def envelope(store: Store) -> Envelope:
    """That of any message."""
    return Envelope(
        id=ObjectId(), sender="grace@example.org", peer="127.0.0.1", helo="mx", time=store.clock()
    )


if __name__ == "__main__":
    main()
