"""`python tests/contract/fuzz/run.py [options]`: start a server, and have Schemathesis test it by its document."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
START_SECONDS = 60


def main(options: Sequence[str]) -> int:
    """Run Schemathesis with these options; its exit status."""
    token = secrets.token_hex(20)
    environ = {**os.environ, "MALLARD_TOKEN": token, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    with tempfile.TemporaryDirectory() as state, served(Path(state), environ) as url:
        command = [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(HERE / "schemathesis.toml"),
            "run",
        ]
        command += [f"{url}/openapi.json", "--checks", "all", "--generation-database", "none", *options]
        own = {"SCHEMATHESIS_HOOKS": "hooks", "MALLARD_URL": url}
        done = subprocess.run(command, env={**environ, **own}, check=False, cwd=state)
    return done.returncode


@contextmanager
def served(state: Path, environ: dict[str, str]) -> Iterator[str]:
    """A `mallard serve` with access control, on ports of its own; yields its URL."""
    api, lmtp = free_port(), free_port()
    own = {
        "MALLARD_STATE_DIR": str(state / "mallard"),
        "MALLARD_BIND": f"127.0.0.1:{api}",
        "MALLARD_LMTP_BIND": f"127.0.0.1:{lmtp}",
        "MALLARD_ACCESS_CONTROL": "on",
        "MALLARD_LOG_LEVEL": "error",
        "MALLARD_SEND": "off",
        "MALLARD_WORKERS": "1",
        "MALLARD_VALIDATE_RESPONSES": "on",
    }
    server = subprocess.Popen([sys.executable, "-m", "commands", "serve"], env={**environ, **own}, cwd=ROOT)
    try:
        wait_for(f"http://127.0.0.1:{api}/openapi.json", server)
        yield f"http://127.0.0.1:{api}"
    finally:
        server.terminate()
        server.wait(60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return once the URL answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError):
            urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
