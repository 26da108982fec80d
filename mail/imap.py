"""What IMAP sends (RFC 3501): ENVELOPE and BODYSTRUCTURE in the stored form, and names of mailboxes in UTF-7."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any

from mail.headers import decode_words, subject_text, unicode_domain
from mail.mime_tree import Node

_LONGEST = 8192
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


def envelope(parsed: Mapping[str, Any]) -> list[Any]:
    """The ten elements of ENVELOPE. Texts that may hold more than ASCII are UTF-8 bytes."""
    sender = parsed.get("sender") or parsed.get("from")
    reply_to = parsed.get("reply-to") or parsed.get("from")
    lists = (parsed.get("from"), sender, reply_to, parsed.get("to"), parsed.get("cc"), parsed.get("bcc"))
    return [
        _ascii(parsed.get("date")),
        _bytes(subject_text(_last(parsed.get("subject")) or "")),
        *(_addresses(entries) for entries in lists),
        _ascii(parsed.get("in-reply-to")),
        _ascii(parsed.get("message-id")),
    ]


def _last(value: Any) -> str | None:
    return (value[-1] if value else None) if isinstance(value, list) else value


def _ascii(value: Any) -> str | bytes | None:
    text = _printable(_last(value) or "")
    return (text if text.isascii() else text.encode()) or None


def _bytes(value: Any) -> bytes:
    return _printable(str(value)).encode()


def _printable(text: str) -> str:
    """Strings of IMAP hold no NUL, and a line break in one could end the answer that it is quoted in (RFC 3501 §9)."""
    return _CONTROLS.sub(" ", text[:_LONGEST]).strip()


def _addresses(entries: Iterable[Mapping[str, Any]] | None) -> list[Any] | None:
    found = [item for entry in entries or () for item in _address(entry)]
    return found or None


def _address(entry: Mapping[str, Any]) -> list[list[Any]]:
    name = decode_words(str(entry.get("name") or ""))
    if "group" in entry:
        members = [item for member in entry["group"] for item in _address(member)]
        return [[None, None, _bytes(name), None], *members, [None, None, None, None]]
    address = unicode_domain(str(entry.get("address") or ""))
    local, at, domain = address.rpartition("@")
    if not at:
        local = domain = address
    return [[_bytes(name) or None, None, _bytes(local), _bytes(domain)]]


def bodystructure(node: Node) -> list[Any]:
    """BODYSTRUCTURE with its extension data."""
    if node["multipart"]:
        children = [bodystructure(child) for child in node.get("childNodes", ())] or [[]]
        kind = node["parsedHeader"]["content-type"]
        return [*children, _ascii(kind["subtype"].upper()) or "MIXED", _parameters(kind), *_extension(node)]
    return _leaf(node)


def _leaf(node: Node) -> list[Any]:
    parsed = node["parsedHeader"]
    kind, subtype = _type(parsed["content-type"])
    basic = [
        kind,
        subtype,
        _parameters(parsed["content-type"]),
        _ascii(parsed.get("content-id")),
        _ascii(parsed.get("content-description")),
        _ascii(str(parsed.get("content-transfer-encoding") or "").upper()) or "7BIT",
        node["size"],
    ]
    if node.get("message"):
        inner = node["message"]
        basic += [envelope(inner["parsedHeader"]), bodystructure(inner), node["lineCount"]]
    elif kind == "TEXT":
        basic.append(node["lineCount"])
    return [*basic, _ascii(parsed.get("content-md5")), *_extension(node)]


def _type(parsed: Mapping[str, Any]) -> tuple[str | bytes, str | bytes]:
    kind, subtype = _ascii(parsed["type"].upper()), _ascii(parsed["subtype"].upper())
    if kind and subtype:
        return kind, subtype
    return ("TEXT", "PLAIN") if kind == "TEXT" or subtype == "PLAIN" else ("APPLICATION", "OCTET-STREAM")


def _parameters(parsed: Mapping[str, Any]) -> list[Any] | None:
    pairs = [[name.upper(), _bytes(decode_words(str(value)))] for name, value in parsed["params"].items()]
    return [item for pair in pairs for item in pair] or None


def _extension(node: Node) -> list[Any]:
    parsed = node["parsedHeader"]
    disposition = parsed.get("content-disposition")
    kind = _ascii(str(disposition["value"]).upper()) if disposition else None
    shown = [kind, _parameters(disposition)] if kind and disposition else None
    language = str(parsed.get("content-language") or "").replace(",", " ").split()
    words = [word for part in language if (word := _ascii(part.upper()))]
    return [shown, words or None, _ascii(parsed.get("content-location"))]


def decode_utf7(name: str) -> str:
    """The name of a mailbox from modified UTF-7 (RFC 3501 §5.1.3), as IMAP and Maildir++ write it.

    What is no modified UTF-7 stays as it is.
    """
    try:
        return _SHIFTED.sub(_plain, name)
    except (binascii.Error, UnicodeDecodeError):
        return name


def _plain(match: re.Match[str]) -> str:
    digits = match[1].replace(",", "/")
    return b64decode(digits + "=" * (-len(digits) % 4)).decode("utf-16-be") if digits else "&"
