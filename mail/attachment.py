"""Bodies of attachments: base64 stored decoded where the very text can be made again."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from quopri import decodestring

_FIRST_LINE = re.compile(rb"([A-Za-z0-9+/=]{1,998})(?:\r\n|\Z)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_SHORTEST_LINE = 76


def encode(content: bytes, line_length: int) -> bytes:
    """base64 with a CRLF after every `line_length` characters and none at the end."""
    text = b64encode(content)
    if len(text) <= line_length:
        return text
    return b"\r\n".join(text[start : start + line_length] for start in range(0, len(text), line_length))


def decode_exactly(encoded: bytes) -> tuple[bytes, int] | None:
    """Content and line length from which `encode` makes the same text again, None where nothing does."""
    match = _FIRST_LINE.match(encoded)
    if not match:
        return None
    length = len(match[1])
    if match.end() == len(encoded) and length < _SHORTEST_LINE:
        length = _SHORTEST_LINE
    try:
        content = a2b_base64(encoded)
    except Base64Error:
        return None
    return (content, length) if encode(content, length) == encoded else None


def decode(encoded: bytes, transfer_encoding: str) -> bytes:
    """The content of a body (RFC 2045 §6). What is no base64 in it is passed over."""
    kind = transfer_encoding.strip().lower()
    if kind == "base64":
        data = _NOT_BASE64.sub(b"", encoded)
        return b64decode(data[: len(data) - 1 if len(data) % 4 == 1 else None] + b"=" * (-len(data) % 4))
    return decodestring(encoded) if kind == "quoted-printable" else encoded
