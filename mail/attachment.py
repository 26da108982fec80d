"""Bodies of attachments: base64 stored decoded where the very text can be made again."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from itertools import chain
from quopri import decodestring

Buffer = bytes | memoryview

_FIRST_LINE = re.compile(rb"([A-Za-z0-9+/=]{1,998})(?:\r\n|\Z)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_SHORTEST_LINE = 76
_PIECE = 256 * 1024


def encode(content: Buffer, line_length: int) -> bytes:
    """base64 with a CRLF after every `line_length` characters and none at the end."""
    text = b64encode(content)
    if len(text) <= line_length:
        return text
    return b"\r\n".join(text[start : start + line_length] for start in range(0, len(text), line_length))


def encoded_pieces(pieces: Iterable[Buffer], line_length: int) -> Iterator[bytes]:
    """`encode` for content in pieces, as if it had come in one."""
    text, rest, begun = b"", b"", False
    for piece in chain(pieces, [None]):
        data = rest if piece is None else rest + piece
        end = len(data) - (0 if piece is None else len(data) % 3)
        text, rest = text + b64encode(data[:end]), data[end:]
        whole = len(text) - (0 if piece is None else len(text) % line_length)
        if whole:
            lines = (text[start : min(start + line_length, whole)] for start in range(0, whole, line_length))
            yield (b"\r\n" if begun else b"") + b"\r\n".join(lines)
            text, begun = text[whole:], True


def decode_exactly(encoded: Buffer) -> tuple[bytes, int] | None:
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
    return (content, length) if is_made_of(encoded, encoded_pieces(cut(content), length)) else None


def cut(content: Buffer) -> Iterator[memoryview]:
    """Pieces of a content that is not copied."""
    view = memoryview(content)
    return (view[start : start + _PIECE] for start in range(0, len(view), _PIECE))


def is_made_of(whole: Buffer, pieces: Iterable[Buffer]) -> bool:
    """Return whether the pieces, joined, are the whole attachment."""
    view, end = memoryview(whole), 0
    for piece in pieces:
        for part in cut(piece):
            begin, end = end, end + len(part)
            if bytes(view[begin:end]) != part:
                return False
    return end == len(view)


def decoded_pieces(pieces: Iterable[bytes], transfer_encoding: str) -> Iterator[bytes]:
    """`decode` for a body in pieces, as if it had come in one."""
    kind = transfer_encoding.strip().lower()
    if kind == "base64":
        return _from_base64(pieces)
    return map(decodestring, _whole_lines(pieces)) if kind == "quoted-printable" else iter(pieces)


def _from_base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        text = rest + _NOT_BASE64.sub(b"", piece)
        end = len(text) - len(text) % 4
        rest = text[end:]
        yield b64decode(text[:end])
    yield decode(rest, "base64")


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A line at its end says how the next one is read, so it is not cut."""
    rest = b""
    for piece in pieces:
        text = rest + piece
        end = text.rfind(b"\n") + 1
        rest = text[end:]
        yield text[:end]
    yield rest


def decode(encoded: bytes, transfer_encoding: str) -> bytes:
    """The content of a body (RFC 2045 §6). What is no base64 in it is passed over."""
    kind = transfer_encoding.strip().lower()
    if kind == "base64":
        data = _NOT_BASE64.sub(b"", encoded)
        return b64decode(data[: len(data) - 1 if len(data) % 4 == 1 else None] + b"=" * (-len(data) % 4))
    return decodestring(encoded) if kind == "quoted-printable" else encoded
