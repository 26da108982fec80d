"""Header fields that a delivery adds: trace fields (RFC 5321 §4.4) in front, what became of the message at the end."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import format_datetime

from mail.compose import ascii_address
from mail.mime_tree import header_lines
from mail.rewrite import split, without

_NOT_VISIBLE = re.compile(r"[^\x21-\x27\x2a-\x5b\x5d-\x7e]")
_CLASSIFICATION = "WD-Mail-Classification"
_FIELDS = (_CLASSIFICATION, f"{_CLASSIFICATION}-Source", f"{_CLASSIFICATION}-Info")


def received(
    *, helo: str, peer: str, host: str, protocol: str, transaction: str, recipient: str, time: datetime
) -> bytes:
    """Our Received field; a recipient that ASCII cannot express is left out."""
    address = ascii_address(recipient)
    for_whom = f"\r\n\tfor <{address}>" if address.isascii() else ""
    literal = f"IPv6:{peer}" if ":" in peer else peer
    text = (
        f"Received: from {_word(helo)} ([{_word(literal)}])\r\n"
        f"\tby {_word(host)} with {protocol} id {transaction}{for_whom};\r\n"
        f"\t{format_datetime(time)}\r\n"
    )
    return text.encode("ascii")


def _word(text: str) -> str:
    """A client's word cannot end the field, nor begin a comment."""
    return _NOT_VISIBLE.sub("?", text)[:255] or "unknown"


def delivered(recipient: str, sender: str) -> bytes:
    """`Delivered-To` and `Return-Path`."""
    return f"Delivered-To: {recipient}\r\nReturn-Path: <{sender}>\r\n".encode()


def classified(raw: bytes, *, junk: bool, source: str, info: str) -> bytes:
    """The message with the fields that say who called it spam or not, in place of those of the same names."""
    header, body = split(raw)
    for name in _FIELDS:
        header = without(header, name)
    values = ("junk" if junk else "not-junk", source, info)
    lines = "".join(f"{name}: {value}\r\n" for name, value in zip(_FIELDS, values, strict=True))
    return header + lines.encode() + b"\r\n" + body


def added_lines(raw: bytes) -> bytes:
    """The fields that `classified` added."""
    lines = header_lines(split(raw)[0])
    names = tuple(name.lower().encode() for name in _FIELDS)
    own = [line for line in lines if line.partition(b":")[0].strip().lower() in names]
    return b"".join(line + b"\r\n" for line in own)
