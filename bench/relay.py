"""`python -m bench.relay`: how many messages a second one relay process sends, and what bounds it.

The queue of one mongod is filled, then `mallard relay` empties it into a server in a process of its own that takes
everything at once. Processor time of relay and mongod tell who is at work; what is left of a second is waiting for
the journal of the database. `make bench` does not run this.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bson import ObjectId
from rich.console import Console
from rich.table import Table

from bench.mailbox import open_store
from delivery.sending.enqueue import Submission, enqueueing
from server.processes.mongod import Mongod
from storage.store import Store

MESSAGES = 2000
DOMAINS = 200
BODY = b"Dear Grace, this is a line of text that is as long as they usually are.\r\n" * 40
CONNECTIONS = (1, 5, 20)
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Fill the queue and have it emptied, once for each number of connections."""
    table = Table(
        "connections", "messages/s", "relay CPU", "mongod CPU", title="one relay process, 3 KB a message"
    )
    with tempfile.TemporaryDirectory() as folder, sink() as port:
        mongod = Mongod(Path(folder), cache=512)
        mongod.start()
        store = open_store(mongod.uri)
        store.ensure_indexes()
        for connections in CONNECTIONS:
            rate, relay, database = measure(store, mongod, port, connections)
            table.add_row(str(connections), f"{rate:,.0f}", f"{relay:.0%}", f"{database:.0%}")
        store.databases.client.close()
        mongod.stop()
    Console().print(table)


def measure(store: Store, mongod: Mongod, port: int, connections: int) -> tuple[float, float, float]:
    """Messages a second, and the share of a processor that relay and mongod had."""
    fill(store)
    queue = store.databases.sender["zone-queue"]
    process = subprocess.Popen(
        [sys.executable, "-m", "commands", "relay"], env=environ(store, mongod, port, connections)
    )
    while queue.count_documents({}) > MESSAGES * 0.95:
        time.sleep(0.01)
    left, begun = queue.count_documents({}), time.monotonic()
    before = processor_seconds(process.pid), processor_seconds(mongod.pid or 0)
    while queue.find_one({}, {"_id": 1}):
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    after = processor_seconds(process.pid), processor_seconds(mongod.pid or 0)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    return left / seconds, (after[0] - before[0]) / seconds, (after[1] - before[1]) / seconds


def environ(store: Store, mongod: Mongod, port: int, connections: int) -> dict[str, str]:
    """What the relay is set up with."""
    return {
        **os.environ,
        "MALLARD_MONGO_URI": mongod.uri,
        "MALLARD_DATABASE": store.databases.names.main,
        "MALLARD_RELAY": f"127.0.0.1:{port}",
        "MALLARD_RELAY_CONNECTIONS": str(connections),
        "MALLARD_RELAY_CONNECTIONS_PER_DOMAIN": str(connections),
        "MALLARD_LOG_LEVEL": "error",
    }


def fill(store: Store) -> None:
    """Messages to many domains, each signed as an account's would be."""
    user = {"_id": ObjectId(), "username": "ada", "address": "ada@example.com"}
    for number in range(MESSAGES):
        to = f"grace{number}@d{number % DOMAINS}.example"
        raw = f"From: ada@example.com\r\nTo: {to}\r\nSubject: {number}\r\n\r\n".encode() + BODY
        submission = Submission(
            user=user,
            raw=raw,
            sender="ada@example.com",
            recipients=[to],
            send_at=store.clock(),
            parent=ObjectId(),
            origin="127.0.0.1",
        )
        with enqueueing(store, submission) as queued:
            queued.release()


def processor_seconds(pid: int) -> float:
    """Processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def sink() -> Iterator[int]:
    """A server that takes all mail and forgets it, in a process of its own; yields its port."""
    context = multiprocessing.get_context("spawn")
    there, here = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


def serve(tell: object) -> None:
    """Run the server and tell its port."""

    async def run() -> None:
        server = await asyncio.start_server(take, "127.0.0.1", 0, limit=1 << 20)
        tell.send(server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]
        await server.serve_forever()

    asyncio.run(run())


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As little of SMTP as a client needs."""
    writer.write(b"220 sink\r\n")
    while line := await reader.readline():
        verb = line[:4].upper()
        if verb == b"DATA":
            writer.write(b"354 go on\r\n")
            await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250-sink\r\n250-8BITMIME\r\n250 SIZE\r\n" if verb == b"EHLO" else b"250 2.0.0 OK\r\n")
        if verb == b"QUIT":
            break
    writer.close()


if __name__ == "__main__":
    main()
