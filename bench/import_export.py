"""Export and import of an account with 5,000 messages: `python -m bench.import_export [MESSAGES]`.

Each in a process of its own, so that its peak memory is that of the work. The two accounts must be the same in the
end: bytes, flags, dates, mailboxes.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo import MongoClient

from bench.serving import mongod
from handlers.call import Call
from handlers.users import create_user
from storage.base.database import DatabaseNames
from storage.messages.intake import NewMessage
from storage.store import Store

DATABASE = "bench"
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "$Forwarded")
FOLDERS = ("INBOX", "Sent Mail", "Projects/Größe", "Archive/2024")
_COMMAND = """
import resource, sys
from commands.main import main
try:
    main(sys.argv[1:])
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def main(count: int) -> None:
    """Fill an account, export it, import it into another one, compare."""
    with tempfile.TemporaryDirectory() as folder, mongod(Path(folder) / "mongod") as uri:
        store = Store(MongoClient(uri), DatabaseNames(main=DATABASE))
        store.ensure_indexes()
        ada, bob = (_account(store, name) for name in ("ada", "bob"))
        _fill(store, ada, count)
        archive = Path(folder) / "ada.tar"
        _run(uri, folder, "export", "ada", str(archive))
        print(f"archive: {archive.stat().st_size / 1e6:,.1f} MB")
        _run(uri, folder, "import", "bob", str(archive))
        _run(uri, folder, "import", "--again", "bob", str(archive))
        same = _compare(store, ada, bob)
        print(f"compared: {same:,} messages, all the same in bytes, flags, date and mailbox")


def _account(store: Store, name: str) -> ObjectId:
    body = {"username": name, "password": "correct horse battery", "address": f"{name}@example.com"}
    return ObjectId(create_user(call=Call(store=store), body=body)["id"])


def _fill(store: Store, user: ObjectId, count: int) -> None:
    chance = random.Random(1)
    for path in FOLDERS[2:]:
        store.mailboxes.create(user, path, {}, 99)
    boxes = [store.mailboxes.by_path(user, path) for path in FOLDERS]
    account = store.users.get(user)
    for number in range(count):
        flags = [flag for flag in FLAGS if chance.random() < 0.4]
        date = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        raw = _message(number, chance)
        store.intake.add(
            NewMessage(user=account, mailbox=boxes[number % len(boxes)], raw=raw, flags=flags, date=date)
        )


def _message(number: int, chance: random.Random) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "grace@example.com",
        "ada@example.com",
        f"Nr. {number}",
    )
    message["Message-ID"] = f"<{number}@example.com>"
    message.set_content("From here to there, line after line.\n" * chance.randrange(1, 200))
    if number % 10 == 0:
        size = chance.randrange(1_000, 200_000)
        message.add_attachment(
            chance.randbytes(size), maintype="application", subtype="pdf", filename="a.pdf"
        )
    return message.as_bytes()


def _run(uri: str, folder: str, *words: str) -> None:
    environ = {
        **os.environ, "MALLARD_MONGO_URI": uri, "MALLARD_DATABASE": DATABASE, "MALLARD_STATE_DIR": folder,
        "MALLARD_LOG_LEVEL": "error",
    }  # fmt: skip
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, *words], env=environ, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begun
    peak = re.search(r"peak (\d+)", done.stderr)
    mib = int(peak[1]) / 1024 if peak else 0
    print(f"{' '.join(words[:-1])}: {done.stdout.strip()}; {seconds:.1f} s, at most {mib:.0f} MiB")
    if done.returncode:
        raise SystemExit(done.stderr)


def _compare(store: Store, ada: ObjectId, bob: ObjectId) -> int:
    count = 0
    for path in FOLDERS:
        rows = zip(_rows(store, ada, path), _rows(store, bob, path), strict=True)
        for one, other in rows:
            if one != other:
                raise SystemExit(f"a message in {path} is not the same")
            count += 1
    return count


def _rows(store: Store, user: ObjectId, path: str) -> Any:
    box = store.mailboxes.by_path(user, path)
    for row in store.messages.each(user, box["_id"]):
        yield b"".join(store.messages.source(row)), sorted(row["flags"]), row["idate"]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
