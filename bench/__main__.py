"""`make bench`: Mallard's reads beside a bare WSGI application that sends the same query and the same JSON.

Both are served by gunicorn with one gevent worker, from one mongod. The bare application replays the very
commands that Mallard sent to the database for one request, and encodes the same answer; what lies between the two
is the price of routing, access, validation and shaping. Rounds alternate, and the medians make the ratio.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load import requests_per_second
from bench.mailbox import Paths, fill
from server.mongod import Mongod

ROUNDS = 3
SECONDS = 4.0
CONNECTIONS = 16


def main() -> None:
    """Start everything, measure, print the ratios."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, mongod(Path(folder)) as uri:
        console.print("filling a mailbox with 1,000 messages …")
        paths = fill(uri)
        with served("bench.ours", uri, paths) as ours, served("bench.bare", uri, paths) as bare:
            table = Table("operation", "bare req/s", "Mallard req/s", "ratio", title="one gevent worker each")
            for name, path in paths.by_name().items():
                rates = measure(path, ours, bare)
                table.add_row(name, f"{rates[1]:,.0f}", f"{rates[0]:,.0f}", f"{rates[0] / rates[1]:.2f}")
            console.print(table)


def measure(path: str, ours: int, bare: int) -> tuple[float, float]:
    """Median requests a second of (ours, bare)."""
    rounds = [
        tuple(requests_per_second(port, path, CONNECTIONS, SECONDS) for port in (ours, bare))
        for _ in range(ROUNDS)
    ]
    return statistics.median(r[0] for r in rounds), statistics.median(r[1] for r in rounds)


@contextlib.contextmanager
def mongod(folder: Path) -> Iterator[str]:
    """A mongod for the run; yields its URI."""
    server = Mongod(folder, cache=512)
    server.start()
    try:
        yield server.uri
    finally:
        server.stop()


@contextlib.contextmanager
def served(module: str, uri: str, paths: Paths) -> Iterator[int]:
    """gunicorn with one gevent worker serving `module:app`; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {**os.environ, "BENCH_URI": uri, "BENCH_PATHS": paths.to_json(), "MALLARD_LOG_LEVEL": "error"}
    command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "1", "--log-level", "error"]
    process = subprocess.Popen([*command, "-b", f"127.0.0.1:{port}", f"{module}:app"], env=environ)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once the port answers."""
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit(f"the server under measurement ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit("the server under measurement did not start")


main()
