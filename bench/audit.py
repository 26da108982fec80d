"""`python -m bench.audit`: the export of an audit of 1,000 and of 20,000 messages, and the memory that it takes.

The messages are of some 1 to 300 KB, every fifth with an attachment; the job copies them into the audits, and one
gevent worker as `mallard api` runs it exports them over a real socket. The memory is the worker's peak RSS, a fresh
worker for each export. Python's `mailbox` counts what came.
"""

from __future__ import annotations

import mailbox
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bson import ObjectId

from bench.filling import make_user
from bench.mailbox import open_store
from bench.serving import mongod
from bench.streams import start, worker_of
from jobs.runner import Runner
from server.processes import logging as logs
from storage.audits.audits import Actor, Span
from storage.messages.intake import NewMessage
from storage.store import Store

FEW, MANY = 1_000, 20_000
_TEMPLATES = 200
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_LATER = datetime(2099, 1, 1, tzinfo=UTC)


def main() -> None:
    """Fill an account, have it audited twice, export both, print a line for each."""
    logs.configure("json", "error")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        uri = stack.enter_context(mongod(Path(folder)))
        store = open_store(uri)
        store.ensure_indexes()
        user = make_user(store, "u0")
        fill(store, user)
        print(f"storing: {storing(store, user):.2f} ms a message without an audit")
        audits = [copied(store, user, count) for count in (FEW, MANY)]
        for audit in audits:
            exported(uri, audit, Path(folder) / "export.mbox")
        print(f"storing: {storing(store, user):.2f} ms a message with two audits")


def fill(store: Store, user: ObjectId) -> None:
    """Some messages that are stored as usual, and many that are like them."""
    account, box = store.users.get(user), store.mailboxes.by_path(user, "INBOX")
    stored = [
        store.intake.add(NewMessage(user=account, mailbox=box, raw=raw(n), meta={"from": "g@example.com"}))
        for n in range(_TEMPLATES)
    ]
    rows: list[dict[str, Any]] = []
    messages = store.databases.main["messages"]
    for number in range(MANY):
        new = {
            "_id": ObjectId(),
            "thread": ObjectId(),
            "idate": _FIRST + timedelta(minutes=number),
            "uid": number + 999,
        }
        rows.append({**stored[number % _TEMPLATES], **new})
        if len(rows) == 500:
            messages.insert_many(rows)
            rows = []


def raw(number: int) -> bytes:
    """A message of its own size."""
    lines = "".join(
        f"line {line} of message {number}\r\nFrom here on\r\n" for line in range(number % 100 * 10 + 20)
    )
    head = f"From: <g@example.com>\r\nTo: <u0@example.com>\r\nSubject: No {number}\r\n"
    if number % 5:
        return f"{head}\r\n{lines}".encode()
    data = "QUJD" * 19 + "\r\n"
    part = "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
    return (
        f"{head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{lines}\r\n--b\r\n{part}\r\n"
        f"{data * (number * 17 + 50)}\r\n--b--\r\n"
    ).encode()


def storing(store: Store, user: ObjectId) -> float:
    """Milliseconds to store a small message."""
    account, box = store.users.get(user), store.mailboxes.by_path(user, "INBOX")
    begin = time.monotonic()
    for _ in range(200):
        store.intake.add(NewMessage(user=account, mailbox=box, raw=raw(1), date=_FIRST - timedelta(days=1)))
    return (time.monotonic() - begin) * 5


def copied(store: Store, user: ObjectId, count: int) -> ObjectId:
    """An audit of the first messages, copied by the job."""
    span = Span(_FIRST, _FIRST + timedelta(minutes=count - 1))
    audit = store.audits.create(user, span, _LATER, None, {}, Actor("bench", "root"))
    begin = time.monotonic()
    Runner(store).run_one()
    seconds = time.monotonic() - begin
    found = store.audits.get(audit)["import"]
    assert found == {"status": "imported", "failed": 0, "copied": count}, found
    store.databases.main["audits"].update_one({"_id": audit}, {"$set": {"end": None}})
    print(f"the job copied {count:,} messages in {seconds:.1f} s, {count / seconds:,.0f} a second")
    return audit


def exported(uri: str, audit: ObjectId, target: Path) -> None:
    """Export with a worker of its own."""
    with worker(uri) as (port, pid):
        before = peak(pid)
        begin = time.monotonic()
        with (
            urlopen(f"http://127.0.0.1:{port}/audit/{audit}/export.mbox") as answer,
            target.open("wb") as file,
        ):
            while piece := answer.read(1 << 16):
                file.write(piece)
        seconds, after = time.monotonic() - begin, peak(pid)
    with closing(mailbox.mbox(target)) as box:
        count = len(box)
    size = target.stat().st_size / 1_048_576
    print(f"{count:,} messages, {size:,.0f} MiB in {seconds:.1f} s: peak RSS of the worker {after / 1024:.1f} MiB, "
          f"{before / 1024:.1f} before")  # fmt: skip


@contextmanager
def worker(uri: str) -> Iterator[tuple[int, int]]:
    """The port of an API with one worker, and that worker's process id."""
    port, process = start(uri)
    try:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/audit/{ObjectId()}"):
            pass  # it is not there; the worker is, once it says so
        yield port, worker_of(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def peak(pid: int) -> int:
    """kB of memory that a process has held at most."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
