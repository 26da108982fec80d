"""Messages from mbox files: one, or all in a folder and below it, as Thunderbird and others keep them."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from pathlib import Path

from mail import mbox
from transfer.source import LARGEST, Folder, Position, SourceError, SourceMessage, with_crlf

_STATUS = {"R": "\\Seen", "A": "\\Answered", "F": "\\Flagged", "T": "\\Draft", "D": "\\Deleted"}
_ENDINGS = re.compile(r"\.(?:mbox|sbd)$", re.I)


class MboxFiles:
    """A source of mbox files."""

    def __init__(self, path: Path, into: str) -> None:
        self._path = path
        self._into = into
        self.name = f"mbox:{path.resolve()}"

    def folders(self) -> Iterator[Folder]:
        """A single file is one folder, named by the caller; in a folder each file has its own name."""
        if self._path.is_file():
            yield Folder(str(self._path), self._into)
            return
        for file in sorted(self._path.rglob("*")):
            if file.is_file() and _is_mbox(file):
                parts = [_ENDINGS.sub("", part) for part in file.relative_to(self._path).parts]
                yield Folder(str(file), "/".join(parts))

    def messages(self, folder: Folder, after: Position | None) -> Iterator[SourceMessage]:
        """Messages in the order of the file. One that became another file meanwhile is read from its beginning."""
        path = Path(folder.name)
        with path.open("rb") as file:
            start = int(after or 0)
            if start > path.stat().st_size:
                start = 0
            file.seek(start)
            if file.read(5) not in (b"From ", b""):
                start = 0
            try:
                for entry in mbox.read(file, start, LARGEST):
                    yield _message(entry)
            except ValueError as error:
                raise SourceError(f"{path}: {error}") from error

    def close(self) -> None:
        """Files are closed as they are read."""


def _is_mbox(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(5) == b"From "


def _message(entry: mbox.Entry) -> SourceMessage:
    if entry.content is None:
        return SourceMessage(entry.end, None, date=entry.date)
    return SourceMessage(entry.end, with_crlf(entry.content), _flags(entry.content), entry.date)


def _flags(content: bytes) -> tuple[str, ...]:
    """From the header fields `Status` and `X-Status`, and labels from `X-Keywords`, as mail programs write them."""
    head = re.split(rb"\r?\n\r?\n", content[:LARGEST], maxsplit=1)[0]
    fields = email.message_from_bytes(head[:262_144])
    letters = str(fields.get("Status", "")) + str(fields.get("X-Status", ""))
    flags = [flag for letter, flag in _STATUS.items() if letter in letters]
    return tuple(dict.fromkeys([*flags, *str(fields.get("X-Keywords", "")).split()]))
