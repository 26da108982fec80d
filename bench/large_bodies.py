"""`python -m bench.large_bodies`: memory of a worker while 8 clients upload and download a message of 50 MB.

With another size and number of clients: `python -m bench.large_bodies 10 4`. One worker as `mallard api`
runs it. Its memory (PSS, which counts shared pages by their share, and RSS) is read every few milliseconds; what is
shown is the peak of each phase beside the memory before it.
"""

from __future__ import annotations

import http.client
import os
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.filling import make_user
from bench.mailbox import open_store
from bench.serving import mongod
from bench.streams import start, stop, worker_of

CLIENTS = 8
MEGABYTES = 50
_EVERY_SECONDS = 0.02
_PIECE = 1 << 20


def main() -> None:
    """Upload, download, and both at the same time."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else CLIENTS
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        uri = stack.enter_context(mongod(Path(folder)))
        store = open_store(uri)
        store.ensure_indexes()
        user = make_user(store, "ada")
        inbox = store.mailboxes.by_path(user, "INBOX")["_id"]
        port, process = start(uri)
        stack.callback(stop, process)
        request(port, "GET", f"/users/{user}")
        path = f"/users/{user}/mailboxes/{inbox}/messages"
        table = Table(
            "phase", "before MiB", "PSS peak MiB", "RSS peak MiB", "seconds", title=f"{clients} clients"
        )
        for name, work in _phases(port, path, size * 1_000_000, clients).items():
            table.add_row(name, *_watched(worker_of(process.pid), work))
        Console().print(table)


def message(number: int, size: int) -> bytes:
    """A message of so many bytes with one attachment of its own."""
    content = os.urandom(size * 76 // 78 * 3 // 4)
    text = b64encode(content)
    lines = b"\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    head = f"From: grace@example.com\r\nSubject: Film {number}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    part = "Content-Type: video/mp4; name=film.mp4\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return (
        f"{head}--b\r\nContent-Type: text/plain\r\n\r\nSee\r\n--b\r\n{part}".encode()
        + lines
        + b"\r\n--b--\r\n"
    )


def _phases(port: int, path: str, size: int, clients: int) -> dict[str, Callable[[], None]]:
    def upload(number: int) -> None:
        request(port, "POST", path, message(number, size))

    def download(number: int) -> None:
        request(port, "GET", f"{path}/{number + 1}/message.eml")

    def attachment(number: int) -> None:
        request(port, "GET", f"{path}/{number + 1}/attachments/ATT00001")

    return {
        "1 upload": lambda: upload(0),
        f"{clients} uploads": lambda: _together(upload, clients),
        "1 download": lambda: download(0),
        f"{clients} downloads": lambda: _together(download, clients),
        f"{clients} downloads of the attachment": lambda: _together(attachment, clients),
    }


def _together(work: Callable[[int], None], clients: int) -> None:
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))


def request(port: int, method: str, path: str, body: bytes | None = None) -> int:
    """Send a request, read the answer piece by piece; its length."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request(method, path, body, {"Content-Type": "message/rfc822"} if body else {})
    answer = connection.getresponse()
    length = 0
    while piece := answer.read(_PIECE):
        length += len(piece)
    if answer.status != http.client.OK:
        raise SystemExit(f"{method} {path} was answered with {answer.status}")
    connection.close()
    return length


def _watched(worker: int, work: Callable[[], None]) -> tuple[str, ...]:
    """Memory before, the peaks, and how long it took."""
    peaks, ended = [memory(worker)], threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY_SECONDS):
            peaks.append(memory(worker))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.monotonic()
    try:
        work()
    finally:
        ended.set()
        watcher.join()
    most = [max(peak[kind] for peak in peaks) for kind in (0, 1)]
    return (f"{peaks[0][0]:.0f}", *(f"{peak:.0f}" for peak in most), f"{time.monotonic() - begin:.1f}")


def memory(pid: int) -> tuple[float, float]:
    """PSS and RSS in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return kib["Pss"] / 1024, kib["Rss"] / 1024


if __name__ == "__main__":
    main()
