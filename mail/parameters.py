"""Content-Type and Content-Disposition with their parameters (RFC 2045 §5.1, RFC 2231)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from mail.charsets import decode
from mail.headers import decode_words, unfold

_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:\\.|[^"\\])*"|[^;]*)')
_KEY = re.compile(r"[a-z0-9\-]{1,64}(?:\*\d{1,3})?\*?")
_ESCAPED = re.compile(r"\\(.)")
_MOST = 100
_LONGEST = 8192


def parse(text: str) -> dict[str, Any]:
    """`{value, type, subtype, params}`, and `hasParams` where there are some; names in lower case."""
    text = unfold(text)[:_LONGEST]
    value = text.partition(";")[0].strip()
    kind, _, subtype = value.partition("/")
    params = _joined(_raw_parameters(text))
    parsed: dict[str, Any] = {"value": value, "type": kind.lower(), "subtype": subtype, "params": params}
    if params:
        parsed["hasParams"] = True
    return parsed


def _raw_parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(text):
        key = match[1].lower()
        if _KEY.fullmatch(key) and len(found) < _MOST:
            found.setdefault(key, _unquoted(match[2].strip()))
    return found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value.strip("'\" ")


def _joined(raw: dict[str, str]) -> dict[str, str]:
    """Parameters with their continuations joined and their charset decoded (RFC 2231 §3, §4)."""
    params = {key: value for key, value in raw.items() if "*" not in key}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for key, value in raw.items():
        name, star, rest = key.partition("*")
        if star:
            number = rest.rstrip("*")
            pieces.setdefault(name, []).append((int(number) if number else 0, key.endswith("*"), value))
    for name, parts in pieces.items():
        params[name] = _extended(sorted(parts))
    return params


def _extended(parts: list[tuple[int, bool, str]]) -> str:
    charset, data = "", b""
    for position, (_, encoded, value) in enumerate(parts):
        if encoded and position == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        data += unquote_to_bytes(value) if encoded else value.encode("utf-8", "replace")
    return decode(data, charset)


def file_name(parsed_disposition: dict[str, Any] | None, parsed_type: dict[str, Any]) -> str:
    """The name of an attachment, decoded, empty where there is none."""
    name = (
        ((parsed_disposition or {}).get("params") or {}).get("filename")
        or parsed_type["params"].get("name")
        or ""
    )
    return decode_words(str(name)).replace("\0", "").strip()
