"""How much memory an idle `mallard serve` holds: `python -m bench.memory`.

PSS counts a page that processes share once, divided among them; their sum is what the machine gives up. RSS counts
it in full for each.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

_START_SECONDS = 60
_IDLE_SECONDS = 5


def main() -> None:
    """Start it, wait until it is idle, print a line for each process."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        bind = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        environ = {
            **os.environ,
            "MALLARD_STATE_DIR": folder,
            "MALLARD_BIND": bind,
            "MALLARD_LMTP_BIND": "127.0.0.1:0",
            "MALLARD_LOG_LEVEL": "warning",
        }
        served = subprocess.Popen([sys.executable, "-m", "commands", "serve"], env=environ)
        try:
            _wait(f"http://{bind}/openapi.json")
            time.sleep(_IDLE_SECONDS)
            _report(served.pid)
        finally:
            served.terminate()
            served.wait(60)


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5) as answer:
                answer.read()
                return
        except (URLError, TimeoutError):
            time.sleep(0.2)
    raise SystemExit("mallard serve did not answer in time")


def _report(root: int) -> None:
    print(f"{'PSS MiB':>9}{'RSS MiB':>9}  process")
    total = 0.0
    for pid, depth in _tree(root, 0):
        pss, rss = _memory(pid)
        total += pss
        print(f"{pss:9.1f}{rss:9.1f}  {'  ' * depth}{_name(pid)}")
    print(f"{total:9.1f}           all of it")


def _tree(pid: int, depth: int) -> Iterator[tuple[int, int]]:
    yield pid, depth
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    for child in children:
        yield from _tree(int(child), depth + 1)


def _memory(pid: int) -> tuple[float, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return kib["Pss"] / 1024, kib["Rss"] / 1024


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    if "commands" in words:
        return "mallard " + " ".join(words[words.index("commands") + 1 :]).strip()
    return Path(words[0]).name


if __name__ == "__main__":
    main()
