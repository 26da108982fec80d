"""`mallard export`: an account's mail as one tar file, written as it is read."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from io import BytesIO
from typing import IO, Any

import orjson

from mail import mbox
from storage.accounts.documents import User
from storage.mailboxes.documents import Mailbox
from storage.store import Store
from transfer.archive import ACCOUNT, FORMAT, VERSION, FolderRow, MessageRow

Progress = Callable[[str, int, int | None], None]
"""Called with a folder's path, the messages done, and how many it has."""
_IN_MEMORY = 1 << 20


def export(store: Store, user: User, target: IO[bytes], progress: Progress) -> dict[str, int]:
    """Write the archive; how many folders, messages and bytes of mail it has.

    What arrives meanwhile may be in it or not; no message is cut. A mailbox is put together in a temporary file,
    as tar wants to know sizes before.
    """
    boxes = sorted(
        store.mailboxes.of_user(user["_id"]), key=lambda box: (box["path"] != "INBOX", box["path"])
    )
    totals = {"folders": len(boxes), "messages": 0, "bytes": 0}
    now = store.clock()
    counts = store.mailbox_counts.of(boxes)
    folders = [_folder_row(box, number, counts[box["_id"]][0]) for number, box in enumerate(boxes, 1)]
    with tarfile.open(fileobj=target, mode="w|") as tar:
        _add_bytes(tar, ACCOUNT, _account(store, user, folders, now), now)
        for box, row in zip(boxes, folders, strict=True):
            _add_mailbox(store, user, box, row, tar, now, totals, progress)
    return totals


def _folder_row(box: Mailbox, number: int, messages: int) -> FolderRow:
    return {
        "path": box["path"],
        "specialUse": box.get("specialUse") or None,
        "subscribed": box.get("subscribed", True),
        "retention": box.get("retention") or 0,
        "messages": messages,
        "files": f"mailboxes/{number:04d}",
    }


def _account(store: Store, user: User, folders: list[FolderRow], now: datetime) -> bytes:
    addresses = [row["address"] for row in store.addresses.of_user(user["_id"])]
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "exported": now.isoformat(),
        "id": str(user["_id"]),
        "username": user["username"],
        "name": user.get("name") or "",
        "address": user.get("address") or "",
        "addresses": addresses,
        "mailboxes": folders,
    }
    return orjson.dumps(facts, option=orjson.OPT_INDENT_2)


def _add_mailbox(
    store: Store,
    user: User,
    box: Mailbox,
    row: FolderRow,
    tar: tarfile.TarFile,
    now: datetime,
    totals: dict[str, int],
    progress: Progress,
) -> None:
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as rows, tempfile.SpooledTemporaryFile(_IN_MEMORY) as raws:
        for done, message in enumerate(store.messages.each(user["_id"], box["_id"]), 1):
            raw = b"".join(store.messages.source(message))
            rows.write(orjson.dumps(_message_row(message, raw)) + b"\n")
            raws.writelines(
                mbox.written(raw, str((message.get("meta") or {}).get("from") or ""), message["idate"])
            )
            totals["messages"] += 1
            totals["bytes"] += len(raw)
            progress(box["path"], done, row["messages"])
        _add(tar, f"{row['files']}.jsonl", rows, now)
        _add(tar, f"{row['files']}.mbox", raws, now)


def _message_row(message: Mapping[str, Any], raw: bytes) -> MessageRow:
    return {
        "id": str(message["_id"]),
        "flags": message["flags"],
        "date": message["idate"].isoformat(),
        "size": len(raw),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }


def _add(tar: tarfile.TarFile, name: str, file: Any, now: datetime) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = file.tell(), int(now.timestamp()), 0o600
    file.seek(0)
    tar.addfile(entry, file)


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes, now: datetime) -> None:
    file = BytesIO(data)
    file.seek(len(data))
    _add(tar, name, file, now)
