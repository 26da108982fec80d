"""Where mail is imported from, of any kind: folders, and the messages in them from a position on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

Position = Any
"""What a source needs to go on behind a message; it has a JSON form."""

LARGEST = 67_108_864
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n")


class SourceError(Exception):
    """A source cannot be read (any further); the text says why."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a source. `name` is its own, `path` what it is called here, `count` its messages if known."""

    name: str
    path: str
    special_use: str | None = None
    subscribed: bool = True
    retention: float = 0
    count: int | None = None


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """A message of a source; `raw` is None where it is larger than any message may be.

    `original` is the id that it had in the account it was exported from.
    """

    position: Position
    raw: bytes | None
    flags: tuple[str, ...] = ()
    date: datetime | None = None
    original: str | None = None


class Source(Protocol):
    """What `mallard import` reads."""

    @property
    def name(self) -> str:
        """Names the source among all there are; holds no password."""

    def folders(self) -> Iterator[Folder]:
        """All folders. Raises SourceError."""

    def messages(self, folder: Folder, after: Position | None) -> Iterator[SourceMessage]:
        """The messages behind a position, or all. Raises SourceError."""

    def close(self) -> None:
        """Let go of files and connections."""


def with_crlf(raw: bytes) -> bytes:
    """Lines end with CRLF in mail (RFC 5322 §2.3); files on disk often have LF alone."""
    return _BARE_NEWLINE.sub(b"\r\n", raw)
