"""Content that an API's caller writes down as text, decoded whole or piece by piece."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from typing import Protocol

from mail.compose import ComposeError

_BLANK = bytes(range(33))
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*(={0,2})")
_HEX = re.compile(rb"[0-9A-Fa-f]*")


def decode_content(content: str, encoding: str, path: str) -> bytes:
    """The bytes of an attachment's `content`. Raises ComposeError."""
    try:
        match encoding.lower().replace("-", ""):
            case "base64" | "base64url":
                text = "".join(content.split()).replace("-", "+").replace("_", "/").rstrip("=")
                return b64decode(text + "=" * (-len(text) % 4), validate=True)
            case "hex":
                return bytes.fromhex(content)
            case "utf8" | "ascii":
                return content.encode()
            case "latin1" | "binary":
                return content.encode("latin-1")
            case "utf16le" | "ucs2":
                return content.encode("utf-16-le")
    except ValueError as error:
        raise ComposeError(path, f"is not valid {encoding}") from error
    raise ComposeError(
        path, "must be one of [base64, base64url, hex, utf8, utf-8, ascii, latin1, binary, utf16le]"
    )


def from_base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Bytes of base64 in either alphabet (RFC 4648 §4, §5), with or without padding. Raises ValueError."""
    return _by_groups(pieces, 4, _base64_group)


def from_hex(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Bytes of hexadecimal digits. Raises ValueError."""
    return _by_groups(pieces, 2, _hex_group)


class _DecodeGroup(Protocol):
    def __call__(self, text: bytes, *, last: bool) -> bytes: ...


def _by_groups(pieces: Iterable[bytes], size: int, decode: _DecodeGroup) -> Iterator[bytes]:
    """Whole groups of `size` digits as they come, blanks and line ends left out; what is over at the end last."""
    rest = b""
    for piece in pieces:
        text = rest + piece.translate(None, _BLANK)
        cut = max(len(text) - size, 0) // size * size
        yield decode(text[:cut], last=False)
        rest = text[cut:]
    yield decode(rest, last=True)


def _base64_group(text: bytes, *, last: bool) -> bytes:
    match = _BASE64.fullmatch(text.translate(_URL_SAFE))
    digits = len(text) - len(match[1]) if match else 0
    if not match or (match[1] and not last) or digits % 4 == 1:
        raise ValueError("is no base64")
    return b64decode(match[0][:digits] + b"=" * (-digits % 4))


def _hex_group(text: bytes, *, last: bool) -> bytes:
    if not _HEX.fullmatch(text) or len(text) % 2:
        raise ValueError("is no hexadecimal text")
    return bytes.fromhex(text.decode("ascii"))
