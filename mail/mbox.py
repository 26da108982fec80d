"""Messages as one mbox file (RFC 4155), quoted the way that is called mboxrd: reversible.

Each message begins with a line `From sender date`, and an empty line follows it. Every line that is `From ` after any
number of `>` gets one more `>` in front, headers included: so nothing in a message can look like the beginning of
another, and taking one `>` away again gives back the message. Files are read and written piece by piece: nothing larger
than one message is ever in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOBODY = "MAILER-DAEMON"
_LONGEST_SENDER = 500
_LARGEST_HEADER = 1_048_576
_NOT_IN_SENDER = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_FROM_LINE = re.compile(rb"^>*From ", re.MULTILINE)
_DROPPED = frozenset(
    {
        b"x-export-draft", b"x-export-mailbox", b"content-length", b"x-status", b"status", b"x-gm-thrid",
        b"x-gmail-labels",
    }
)  # fmt: skip
_PIECE = 65_536
_QUOTED = re.compile(rb"^>(>*From )", re.M)
_SEPARATOR = b"From "
_ENDS = (b"\n", b"\r\n")


def separator(sender: str, date: datetime) -> bytes:
    """The line that begins a message. A sender comes from outside: no space or line break of it is kept."""
    name = _NOT_IN_SENDER.sub("", sender)[:_LONGEST_SENDER] or _NOBODY
    when = date.astimezone(UTC)
    day, month = _DAYS[when.weekday()], _MONTHS[when.month - 1]
    text = f"From {name} {day} {month} {when.day:2} {when:%H:%M:%S} {when.year:04}\n"
    return text.encode("utf-8", "replace")


def entry(
    pieces: Iterable[bytes], *, sender: str, date: datetime, mailbox: str, draft: bool
) -> Iterator[bytes]:
    """One message of the file. No more is held at a time than a piece and the header, or 1 MiB of it."""
    yield separator(sender, date)
    fields = [f"X-Export-Mailbox: {_CONTROL.sub(' ', mailbox)}\n"] if mailbox else []
    yield "".join([*fields, *(["X-Export-Draft: Yes\n"] if draft else [])]).encode("utf-8", "replace")
    last = b""
    for piece in quoted(_without_fields(_with_lf(pieces))):
        last = piece or last
        yield piece
    yield b"\n" if last.endswith(b"\n") or not last else b"\n\n"


def _with_lf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return (piece.replace(b"\r", b"") for piece in pieces)


def _without_fields(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same without header fields that readers of mbox would take for their own."""
    pieces = iter(pieces)
    held = bytearray()
    for piece in pieces:
        searched = max(len(held) - 1, 0)
        held += piece
        end = _end_of_header(held, searched)
        if end is not None:
            yield _cleared(bytes(held[:end])) + bytes(held[end:])
            yield from pieces
            return
    yield _cleared(bytes(held))


def _end_of_header(held: bytearray, searched: int) -> int | None:
    """Where the empty line begins; None where that is still to come. One that is too long ends where it is."""
    if held.startswith(b"\n"):
        return 0
    found = held.find(b"\n\n", searched)
    if found >= 0:
        return found + 1
    return len(held) if len(held) > _LARGEST_HEADER else None


def _cleared(header: bytes) -> bytes:
    kept: list[bytes] = []
    drops = False
    for line in header.splitlines(keepends=True):
        if not line.startswith((b" ", b"\t")):
            drops = line.partition(b":")[0].strip().lower() in _DROPPED
        if not drops:
            kept.append(line)
    return b"".join(kept)


def quoted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same with `From ` lines quoted, wherever pieces are cut.

    A `>` more is the same before the others as after them, so only an undecided `From` is ever held back.
    """
    held, at_start = b"", True
    for piece in pieces:
        data = held + piece
        end, open_line = _decided(data, at_start=at_start)
        yield _quote(data[:end], at_start=at_start)
        held, at_start = data[end:], open_line
    yield held


def _decided(data: bytes, *, at_start: bool) -> tuple[int, bool]:
    """How far it is clear what to quote, and whether from there a `From ` would be at the start of its line."""
    line = data.rfind(b"\n") + 1
    if not line and not at_start:
        return len(data), False
    rest = data[line:].lstrip(b">")
    if b"From ".startswith(rest) and rest != b"From ":
        return len(data) - len(rest), True
    return len(data), False


def _quote(data: bytes, *, at_start: bool) -> bytes:
    first = 0 if at_start else data.find(b"\n") + 1
    if not at_start and not first:
        return data
    return data[:first] + _FROM_LINE.sub(rb">\g<0>", data[first:])


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of an mbox; `end` is where the next one begins. `content` is None where it is over the limit."""

    end: int
    date: datetime | None
    content: bytes | None


def written(content: bytes, sender: str, date: datetime) -> Iterable[bytes]:
    """A message as it stands in an mbox, its bytes unchanged except for the quoting."""
    yield f"From {sender or 'MAILER-DAEMON'} {date.astimezone(UTC):%a %b %d %H:%M:%S %Y}\n".encode(
        "ascii", "replace"
    )
    yield _FROM_LINE.sub(rb">\g<0>", content)
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
