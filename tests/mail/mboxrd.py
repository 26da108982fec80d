"""A reader of mbox that owes nothing to Python's: it goes by separator lines alone and takes the quoting back."""

from __future__ import annotations

import mailbox
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_SEPARATOR = re.compile(rb"From (\S+) (\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\Z")


def read(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(sender, message with LF) of each entry; fails where something else stands at the begin of one."""
    sender, lines = b"", list[bytes]()
    for line in data.split(b"\n")[:-1]:
        if line.startswith(b"From "):
            if sender:
                yield sender, _message(lines)
            found = _SEPARATOR.match(line)
            assert found, line
            sender, lines = found[1], []
        else:
            assert sender, line
            lines.append(line[1:] if re.match(rb">+From ", line) else line)
    if sender:
        yield sender, _message(lines)


def _message(lines: list[bytes]) -> bytes:
    assert lines[-1] == b"", "an empty line ends each message"
    return b"\n".join(lines[:-1]) + b"\n"


def count_of_python(path: Path) -> int:
    """How many messages the standard library's reader finds."""
    with closing(mailbox.mbox(path)) as box:
        return len(box)
