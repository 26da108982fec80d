"""The mbox format (RFC 4155), in its reversible form, mboxrd: lines that begin with `>*From ` get one `>` more.

Read and written piece by piece: nothing larger than one message is ever in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

_PIECE = 65_536
_TO_QUOTE = re.compile(rb"^(>*From )", re.M)
_QUOTED = re.compile(rb"^>(>*From )", re.M)
_SEPARATOR = b"From "
_ENDS = (b"\n", b"\r\n")


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of an mbox; `end` is where the next one begins. `content` is None where it is over the limit."""

    end: int
    date: datetime | None
    content: bytes | None


def written(content: bytes, sender: str, date: datetime) -> Iterable[bytes]:
    """A message as it stands in an mbox, its bytes unchanged but for the quoting."""
    yield f"From {sender or 'MAILER-DAEMON'} {date.astimezone(UTC):%a %b %d %H:%M:%S %Y}\n".encode(
        "ascii", "replace"
    )
    yield _TO_QUOTE.sub(rb">\1", content)
    yield b"\n" if content.endswith(b"\n") else b"\n\n"


def read(file: BinaryIO, start: int = 0, largest: int = 1 << 26) -> Iterator[Entry]:
    """The messages from a position on, which must be the beginning of one. Raises ValueError where it is not."""
    file.seek(start)
    first = file.readline(_PIECE)
    if not first:
        return
    if not first.startswith(_SEPARATOR):
        raise ValueError("this is no mbox: it does not begin with `From `")
    while first:
        date = _date(first)
        content, end, first = _collect(file, largest)
        yield Entry(end, date, content)


def _collect(file: BinaryIO, largest: int) -> tuple[bytes | None, int, bytes]:
    """The lines up to the next separator: content, where that separator begins, and itself, empty at the end."""
    lines: list[bytes] = []
    size = 0
    blank, fresh = False, True
    while line := file.readline(_PIECE):
        if blank and fresh and line.startswith(_SEPARATOR):
            return _joined(lines, size, largest), file.tell() - len(line), line
        blank, fresh = fresh and line in _ENDS, line.endswith(b"\n")
        size += len(line)
        if size <= largest + len(line):
            lines.append(line)
    return _joined(lines, size, largest), file.tell(), b""


def _joined(lines: list[bytes], size: int, largest: int) -> bytes | None:
    """Without the empty line that ends a message."""
    if size - 1 > largest:
        return None
    if lines and lines[-1] in _ENDS:
        lines.pop()
    return _QUOTED.sub(rb"\1", b"".join(lines))


def _date(separator: bytes) -> datetime | None:
    """The date of a separator: the last five words, sometimes with a time zone behind them."""
    words = separator.decode("ascii", "replace").split()
    for end in (len(words), len(words) - 1):
        try:
            return datetime.strptime(" ".join(words[end - 5 : end]), "%a %b %d %H:%M:%S %Y").replace(
                tzinfo=UTC
            )
        except ValueError:
            continue
    return None
