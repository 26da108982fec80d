"""Messages from a Maildir with Maildir++ folders, as Dovecot and Courier keep them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mail.imap import decode_utf7
from transfer.source import LARGEST, Folder, Position, SourceError, SourceMessage, with_crlf

_FLAGS = {"S": "\\Seen", "R": "\\Answered", "F": "\\Flagged", "D": "\\Draft", "T": "\\Deleted"}
_USES = {"sent": "\\Sent", "trash": "\\Trash", "drafts": "\\Drafts", "junk": "\\Junk", "spam": "\\Junk"}
_INFO = re.compile(r"[:;!]2,(.*)$")


class Maildir:
    """A source of one message per file; the time of a file is when its message came in."""

    def __init__(self, path: Path, into: str) -> None:
        self._path = path
        self._into = into
        self.name = f"maildir:{path.resolve()}"

    def folders(self) -> Iterator[Folder]:
        """The Maildir itself, and the folders in it, whose names begin with a dot and have dots between levels."""
        yield Folder(str(self._path), self._into, count=len(_files(self._path)))
        subscribed = _subscriptions(self._path)
        for folder in sorted(self._path.iterdir()):
            if folder.name.startswith(".") and (folder / "cur").is_dir():
                name = folder.name[1:]
                path = "/".join(decode_utf7(part) for part in name.split("."))
                yield Folder(
                    str(folder),
                    path,
                    special_use=_USES.get(path.lower()),
                    subscribed=subscribed is None or name in subscribed,
                    count=len(_files(folder)),
                )

    def messages(self, folder: Folder, after: Position | None) -> Iterator[SourceMessage]:
        """Messages by the names of their files, which begin with the time of arrival."""
        path = Path(folder.name)
        keywords = _keywords(path)
        for base, file in _files(path):
            if after is not None and base <= after:
                continue
            try:
                yield _message(base, file, keywords)
            except FileNotFoundError:
                continue  # a mail program renamed or removed it meanwhile
            except OSError as error:
                raise SourceError(str(error)) from error

    def close(self) -> None:
        """Files are closed as they are read."""


def _files(folder: Path) -> list[tuple[str, Path]]:
    """(name without flags, file) of each message, sorted."""
    names = []
    for part in ("cur", "new"):
        with os.scandir(folder / part) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file():
                    names.append((_INFO.sub("", entry.name), folder / part / entry.name))
    return sorted(names)


def _message(base: str, file: Path, keywords: dict[str, str]) -> SourceMessage:
    state = file.stat()
    date = datetime.fromtimestamp(int(state.st_mtime), UTC)
    raw = with_crlf(file.read_bytes()) if state.st_size <= LARGEST else None
    info = _INFO.search(file.name)
    letters = info[1] if info else ""
    flags = [flag for letter, flag in _FLAGS.items() if letter in letters]
    flags += [keywords[letter] for letter in letters if letter in keywords]
    return SourceMessage(base, raw, tuple(flags), date)


def _keywords(folder: Path) -> dict[str, str]:
    """Dovecot's labels: lower-case letters behind the flags, named in a file by their numbers."""
    file = folder / "dovecot-keywords"
    if not file.is_file():
        return {}
    rows = (line.split(maxsplit=1) for line in file.read_text("utf-8", "replace").splitlines())
    return {chr(ord("a") + int(row[0])): row[1] for row in rows if len(row) == 2 and row[0].isdigit()}


def _subscriptions(root: Path) -> set[str] | None:
    """Names that Dovecot's file lists (its version 2 has a first line and tabs for levels), None without the file."""
    file = root / "subscriptions"
    if not file.is_file():
        return None
    lines = file.read_text("utf-8", "replace").splitlines()
    return {
        line.replace("\t", ".").replace("/", ".") for line in lines if line and not line.startswith("V\t")
    }
