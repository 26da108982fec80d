"""`python -m bench.streams`: what 2,000 idle event streams cost a worker in memory, and how soon each hears of mail.

One gevent worker as `mallard api` runs it, clients with real sockets. The memory is the worker's own (private and
dirty pages), read after the streams have been open for a moment, with a thousand more each time.
"""

from __future__ import annotations

import os
import resource
import selectors
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

from bson import ObjectId

from bench.filling import make_user
from bench.mailbox import open_store
from bench.serving import mongod, part
from storage.messages.intake import NewMessage
from storage.store import Store

STREAMS = 1000
ROUNDS = 2
OF_ONE_USER = 50
_RAW = b"From: grace@example.com\r\nSubject: Hello\r\n\r\nDear Ada"


def main() -> None:
    """Open streams, read the worker's memory, make changes and see when they arrive."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        uri = stack.enter_context(mongod(Path(folder)))
        store = open_store(uri)
        store.ensure_indexes()
        users = [make_user(store, f"u{number}") for number in range(STREAMS * ROUNDS // OF_ONE_USER)]
        port, process = start(uri)
        stack.callback(stop, process)
        measure(store, users, port, process.pid)


def start(uri: str) -> tuple[int, subprocess.Popen[bytes]]:
    """`mallard api` with one worker."""
    return part("api", uri, "MALLARD_BIND", MALLARD_WORKERS="1", MALLARD_LOG_LEVEL="error")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop."""
    begin = time.monotonic()
    process.terminate()
    process.wait(60)
    print(f"stopped with all streams open in {time.monotonic() - begin:.1f} s")


def measure(store: Store, users: list[ObjectId], port: int, parent: int) -> None:
    """Rounds of a thousand streams each."""
    clients = [connect(port, users[0])]
    before = memory(parent)
    for _ in range(ROUNDS):
        begin, count = time.monotonic(), len(clients)
        clients += [
            connect(port, users[(count + number) // OF_ONE_USER % len(users)]) for number in range(STREAMS)
        ]
        seconds = time.monotonic() - begin
        time.sleep(2)
        now = memory(parent)
        print(f"{len(clients) - 1:,} streams: {(now - before) / STREAMS:.1f} kB per stream, "
              f"opened in {seconds:.1f} s, worker {now / 1024:.0f} MiB")  # fmt: skip
        before = now
    print(f"idle for 10 s: {cpu(parent, 10):.2f} % of a core")
    latencies = [latency(store, users[number], clients[number * OF_ONE_USER]) for number in range(1, 21)]
    print(
        f"one message → its event: median {statistics.median(latencies):.0f} ms, largest {max(latencies):.0f} ms"
    )
    delays = sorted(everybody(store, users, clients[1:]))
    print(f"a message to each account → {len(delays):,} streams: median {delays[len(delays) // 2]:.0f} ms, "
          f"largest {delays[-1]:.0f} ms, worker {memory(parent) / 1024:.0f} MiB")  # fmt: skip


def connect(port: int, user: ObjectId) -> socket.socket:
    """A stream, open."""
    client = socket.create_connection(("127.0.0.1", port), 30)
    client.sendall(f"GET /users/{user}/updates HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    data = b""
    while b"idling" not in data:
        data += client.recv(4096)
    return client


def latency(store: Store, user: ObjectId, client: socket.socket) -> float:
    """Milliseconds from the storing of a message to its event."""
    _drain(client)
    client.settimeout(10)
    store.intake.add(
        NewMessage(user=store.users.get(user), mailbox=store.mailboxes.by_path(user, "INBOX"), raw=_RAW)
    )
    begin = time.monotonic()
    while b"EXISTS" not in client.recv(65536):
        pass
    return (time.monotonic() - begin) * 1000


def everybody(store: Store, users: list[ObjectId], clients: list[socket.socket]) -> list[float]:
    """Milliseconds from the storing of a message for each account to its event, for each of all streams."""
    stored: dict[ObjectId, float] = {}
    waiting = selectors.DefaultSelector()
    for number, client in enumerate(clients):
        _drain(client)
        waiting.register(client, selectors.EVENT_READ, users[(number + 1) // OF_ONE_USER % len(users)])

    def write() -> None:
        for user in users:
            box = store.mailboxes.by_path(user, "INBOX")
            stored[user] = time.monotonic()
            store.intake.add(NewMessage(user=store.users.get(user), mailbox=box, raw=_RAW))

    writer = threading.Thread(target=write)
    writer.start()
    delays: list[float] = []
    while len(delays) < len(clients):
        ready = waiting.select(30)
        if not ready:
            raise SystemExit(f"only {len(delays)} streams heard of their message")
        for key, _ in ready:
            client = cast(socket.socket, key.fileobj)
            if b"EXISTS" in client.recv(65536) and key.data in stored:  # not of an earlier message
                delays.append((time.monotonic() - stored[key.data]) * 1000)
                waiting.unregister(client)
    writer.join()
    return delays


def _drain(client: socket.socket) -> None:
    client.setblocking(False)
    with suppress(BlockingIOError):
        client.recv(1 << 20)


def worker_of(parent: int) -> int:
    """The one child of the arbiter."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()[0])


def memory(parent: int) -> int:
    """kB that the worker alone uses."""
    lines = Path(f"/proc/{worker_of(parent)}/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))


def cpu(parent: int, seconds: float) -> float:
    """Per cent of a core that the worker takes in that time."""
    stat = Path(f"/proc/{worker_of(parent)}/stat")

    def ticks() -> int:
        fields = stat.read_text("ascii").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(seconds)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds * 100


if __name__ == "__main__":
    main()
