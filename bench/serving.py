"""What the measurements run against: a mongod of their own, and gunicorn with one gevent worker."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.mailbox import DATABASE, Paths
from server.processes.mongod import Mongod


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


def part(name: str, uri: str, bind: str, **settings: str) -> tuple[int, subprocess.Popen[bytes]]:
    """`mallard NAME` on the database of the run, listening where the setting `bind` says; its port and process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {"MALLARD_MONGO_URI": uri, "MALLARD_DATABASE": DATABASE, bind: f"127.0.0.1:{port}", **settings}
    process = subprocess.Popen([sys.executable, "-m", "commands", name], env={**os.environ, **own})
    wait_for(port, process)
    return port, process
