"""An account in one tar file: what it holds, as both sides know it.

account.json             format, account, and its folders in order, each with the number of its two files
mailboxes/0001.jsonl     a line for each message: id, flags, date, size, SHA-256
mailboxes/0001.mbox      the messages in the same order, in mboxrd form, their bytes as they came in
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, TypedDict

import orjson

from mail import mbox
from transfer.source import LARGEST, Folder, Position, SourceError, SourceMessage

FORMAT, VERSION = "mallard-account", 1
ACCOUNT = "account.json"
_IN_MEMORY = 1 << 20


class FolderRow(TypedDict):
    """A mailbox in `account.json`."""

    path: str
    specialUse: str | None
    subscribed: bool
    retention: float  # milliseconds; 0 for ever
    messages: int
    files: str  # the name of its two files without their endings


class MessageRow(TypedDict):
    """A line of a folder's `.jsonl`."""

    id: str
    flags: list[str]
    date: str  # ISO 8601, when it was received
    size: int  # bytes
    sha256: str


class Archive:
    """A source of an exported account; also compressed, if somebody did so."""

    def __init__(self, path: Path) -> None:
        try:
            self._tar = tarfile.open(path)  # noqa: SIM115 (closed by `close`)
            self._account = orjson.loads(self._member(ACCOUNT).read())
        except (OSError, tarfile.TarError, orjson.JSONDecodeError, KeyError) as error:
            raise SourceError(f"{path} is no export of an account: {error}") from error
        if self._account.get("format") != FORMAT or self._account.get("version") != VERSION:
            raise SourceError(f"{path} is no export of an account in version {VERSION} of the format")
        self.name = f"archive:{self._account['id']}:{self._account['exported']}"

    def _member(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(name)
        if file is None:
            raise SourceError(f"The archive has no {name}")
        return file

    def folders(self) -> Iterator[Folder]:
        """The mailboxes of the account as they were."""
        for mailbox in self._account["mailboxes"]:
            yield Folder(
                mailbox["files"],
                mailbox["path"],
                mailbox["specialUse"],
                mailbox["subscribed"],
                mailbox["retention"],
                mailbox["messages"],
            )

    def messages(self, folder: Folder, after: Position | None) -> Iterator[SourceMessage]:
        """Messages in the order of the mailbox; a position is where row and message begin in their files."""
        row_at, mbox_at = after or (0, 0)
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as rows:
            try:
                shutil.copyfileobj(self._member(f"{folder.name}.jsonl"), rows)
                rows.seek(row_at)
                entries = mbox.read(self._member(f"{folder.name}.mbox"), mbox_at, LARGEST)  # type: ignore[arg-type]
                for line, entry in zip(iter(rows.readline, b""), entries, strict=True):
                    row_at += len(line)
                    yield _message(orjson.loads(line), entry, (row_at, entry.end))
            except (OSError, tarfile.TarError, ValueError, KeyError) as error:
                raise SourceError(f"The archive is damaged at {folder.path}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._tar.close()


def _message(row: MessageRow, entry: mbox.Entry, position: tuple[int, int]) -> SourceMessage:
    raw = None if entry.content is None else _exact(entry.content, row["size"])
    if raw is not None and hashlib.sha256(raw).hexdigest() != row["sha256"]:
        raise ValueError(f"message {row['id']} is not what it was")
    return SourceMessage(
        list(position), raw, tuple(row["flags"]), datetime.fromisoformat(row["date"]), row["id"]
    )


def _exact(content: bytes, size: int) -> bytes:
    """An mbox gives every message an end of line; one that had none is cut to its size."""
    return content[:size]
