"""A queued message as it is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from mail.compose import ascii_address
from mail.mime_tree import normalise
from storage.base.database import Document

Sign = Callable[[bytes, Document], bytes]

_BARE_CR = re.compile(rb"\r(?!\n)")
_ADDRESS = re.compile(
    r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])+"|[^\s\x00-\x1f\x7f<>@"]+)@[^\s\x00-\x1f\x7f<>@"]+'
)


@dataclass(frozen=True)
class Message:
    """Envelope and content; lines end with CRLF, and there is no bare CR or LF that could pass for one."""

    envelope: Document = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def queue_id(self) -> str:
        return str(self.envelope["id"])

    @property
    def sender(self) -> str:
        """The envelope's sender, empty for what must not be answered; its domain in ASCII, as every server takes it."""
        return ascii_address(str(self.envelope.get("from") or ""))

    @cached_property
    def header(self) -> bytes:
        """The header fields."""
        return self.content.partition(b"\r\n\r\n")[0] + b"\r\n"

    @cached_property
    def is_8bit(self) -> bool:
        return not self.content.isascii()

    @cached_property
    def has_utf8_header(self) -> bool:
        return not self.header.isascii()


def made_of(envelope: Document, body: bytes, sign: Sign) -> Message:
    """The message that was queued, with what `sign` puts before it."""
    lines = (str(header["line"]).encode("latin-1", "replace") for header in envelope.get("headers") or ())
    plain = clean(b"\r\n".join([*lines, b"", body]))
    return Message(envelope, sign(plain, envelope) + plain)


def clean(raw: bytes) -> bytes:
    """With CRLF at the end of each line and nowhere else a CR or LF: servers differ in what else ends a line.

    In the header a bare CR becomes a blank, so that no part of a field comes to be one of its own.
    """
    header, end, body = normalise(raw).partition(b"\r\n\r\n")
    text = _BARE_CR.sub(b" ", header) + end + _BARE_CR.sub(b"\r\n", body)
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def is_path(address: str) -> bool:
    """Return whether an address can stand in MAIL or RCPT without saying more than itself."""
    return _ADDRESS.fullmatch(address) is not None


def unsigned(message: bytes, envelope: Document) -> bytes:
    """No signature."""
    return b""
