"""A whole `mallard serve` in a folder of its own, as a newcomer starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import requests

START_SECONDS = 100


class Served:
    """One running `mallard serve`."""

    def __init__(self, state: Path, port: int, lmtp_port: int, settings: Mapping[str, str]) -> None:
        self.state = state
        self.port = port
        self.lmtp_port = lmtp_port
        self.settings = settings
        self.base = f"http://127.0.0.1:{port}"
        self.process = self.launch()

    @property
    def environ(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLARD_")}
        own = {
            "MALLARD_STATE_DIR": str(self.state),
            "MALLARD_BIND": f"127.0.0.1:{self.port}",
            "MALLARD_LMTP_BIND": f"127.0.0.1:{self.lmtp_port}",
            "MALLARD_WORKERS": "2",
            "MALLARD_VALIDATE_RESPONSES": "on",
        }
        return {**clean, **own, "MALLARD_LOG_LEVEL": "warning", **self.settings}

    def launch(self) -> subprocess.Popen[str]:
        """Start the command; its errors can be read from the process."""
        return subprocess.Popen(
            [sys.executable, "-m", "commands", "serve"],
            env=self.environ,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Return once the API answers, and LMTP does."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(requests.ConnectionError, requests.Timeout, ConnectionError):
                requests.get(f"{self.base}/openapi.json", timeout=5)
                socket.create_connection(("127.0.0.1", self.lmtp_port), 5).close()
                return
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            time.sleep(0.1)
        raise AssertionError("mallard serve did not answer in time")

    def children(self) -> dict[str, list[int]]:
        """Process ids of the parts, by what they are."""
        listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 1) for line in listing.splitlines()[1:]]
        mongods = [int(pid) for pid, args in rows if "mongod" in args and str(self.state) in args]
        parts = {
            part: [int(pid) for pid, args in rows if f"-m commands {part}" in args and self.is_ours(int(pid))]
            for part in ("api", "lmtp", "relay", "jobs")
        }
        return {"mongod": mongods, **parts}

    def is_ours(self, pid: int) -> bool:
        with suppress(OSError):
            return f"MALLARD_STATE_DIR={self.state}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        return False

    def kill_everything(self) -> None:
        """kill -9 of every process, as a power failure does."""
        for pid in [self.process.pid, *(pid for pids in self.children().values() for pid in pids)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        self.close()

    def close(self) -> None:
        """Let go of the process's pipe."""
        if self.process.stderr:
            self.process.stderr.close()

    def stop(self) -> None:
        """Ask it to stop, as a service manager does."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self.close()


Serve = Callable[..., Served]


@contextmanager
def serving(state: Path, settings: Mapping[str, str]) -> Iterator[Served]:
    """A `mallard serve` on free ports that keeps its data in `state`."""
    with socket.create_server(("127.0.0.1", 0)) as api, socket.create_server(("127.0.0.1", 0)) as lmtp:
        ports = api.getsockname()[1], lmtp.getsockname()[1]
    served = Served(state, *ports, settings)
    try:
        served.wait()
        yield served
    finally:
        served.stop()
    assert not any(served.children().values()), "a stop must leave no process behind"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """`serve(MALLARD_…=…)`: a server of the test's own, with further settings."""
    with ExitStack() as started:
        yield lambda **settings: started.enter_context(serving(tmp_path / "state", settings))


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """The same for all tests of a module together: a start takes longer than what most of them do."""
    state = tmp_path_factory.mktemp("served") / "state"
    with ExitStack() as started:
        yield lambda **settings: started.enter_context(serving(state, settings))
