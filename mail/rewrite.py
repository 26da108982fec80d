"""Changing single header fields of a finished message; every other byte stays."""

from __future__ import annotations

import re
from functools import lru_cache

_HEADER_END = re.compile(rb"(?:\A|\r\n)\r\n")


def split(raw: bytes) -> tuple[bytes, bytes]:
    """The header section with its last line break, and the body (RFC 5322 §2.1)."""
    match = _HEADER_END.search(raw)
    if not match:
        return raw if raw.endswith(b"\r\n") else raw + b"\r\n", b""
    return raw[: match.start()] + b"\r\n" if match.start() else b"", raw[match.end() :]


def without(header: bytes, name: str) -> bytes:
    """A header section without the fields of a name."""
    return _fields(name).sub(b"", header)


def with_field(header: bytes, name: str, value: str) -> bytes:
    """A header section with one field of a name: where the first was, else at the end."""
    line = f"{name}: {value}\r\n".encode()
    match = _fields(name).search(header)
    if not match:
        return header + line
    return header[: match.start()] + line + without(header[match.end() :], name)


def fields_of(header: bytes, name: str) -> list[bytes]:
    """The fields of a name as they stand in a header section."""
    return [match[0] for match in _fields(name).finditer(header)]


@lru_cache(maxsize=64)
def _fields(name: str) -> re.Pattern[bytes]:
    """Whole fields of a name, folded lines included."""
    return re.compile(
        rb"^" + re.escape(name.encode()) + rb"[ \t]*:.*(?:\r?\n[ \t].*)*(?:\r?\n|\Z)", re.I | re.M
    )
