"""Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183, RFC 2231): read them, and write safe ones."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from typing import Any, Required, TypedDict
from urllib.parse import quote, unquote_to_bytes

from mail.charsets import decode
from mail.headers import decode_words, unfold

_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:\\.|[^"\\])*"|[^;]*)')
_KEY = re.compile(r"[a-z0-9\-]{1,64}(?:\*\d{1,3})?\*?")
_ESCAPED = re.compile(r"\\(.)")
_MOST = 100
_LONGEST = 8192
_ANY = "application/octet-stream"
_TYPE = re.compile(r"[\w.+\-]+/[\w.+\-]+", re.A)
_PLAIN_NAME = re.compile(r"[a-z0-9\-]{1,64}")
_PLAIN_VALUE = re.compile(r"[\x20-\x7e]{1,255}")
# The disposition has the name; nothing but a multipart has a boundary.
_NOT_TAKEN = frozenset({"name", "boundary"})
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+\-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+\-]{0,126}")
_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\"\\/]+")
_LONGEST_NAME = 255
_PASSIVE = frozenset({"text/plain", "application/pdf"})
_PASSIVE_KINDS = ("image/", "audio/", "video/")


class ContentField(TypedDict, total=False):
    """A parsed Content-Type or Content-Disposition: `text/plain; charset=utf-8`."""

    value: Required[str]  # as it was given, without parameters
    type: Required[str]  # what stands before the slash, in lower case
    subtype: Required[str]
    params: Required[dict[str, str]]  # by name in lower case
    hasParams: bool  # left out without parameters


def parse(text: str) -> ContentField:
    """`{value, type, subtype, params}`, and `hasParams` where there are some; names in lower case."""
    text = unfold(text)[:_LONGEST]
    value = text.partition(";")[0].strip()
    kind, _, subtype = value.partition("/")
    params = _joined(_raw_parameters(text))
    parsed: ContentField = {"value": value, "type": kind.lower(), "subtype": subtype, "params": params}
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


def file_name(parsed_disposition: Mapping[str, Any] | None, parsed_type: Mapping[str, Any]) -> str:
    """The name of an attachment, decoded, empty if it has none."""
    name = (
        ((parsed_disposition or {}).get("params") or {}).get("filename")
        or parsed_type["params"].get("name")
        or ""
    )
    return decode_words(str(name)).replace("\0", "").strip()


def media_type(given: str, filename: str) -> tuple[str, dict[str, str]]:
    """Type and parameters, such as `text/calendar` and its `method`; by the file's name where nothing is given.

    What must not be encoded (RFC 2046 §5) is shown as bytes of any kind.
    """
    parsed = parse(given.strip())
    kind = parsed["value"].lower() or (mimetypes.guess_type(filename)[0] if filename else None) or _ANY
    if not _TYPE.fullmatch(kind) or kind.startswith(("multipart/", "message/")):
        return _ANY, {}
    return kind, {
        name: value
        for name, value in parsed["params"].items()
        if name not in _NOT_TAKEN and _PLAIN_NAME.fullmatch(name) and _PLAIN_VALUE.fullmatch(value)
    }


def extension_of(kind: str) -> str:
    """A file's ending for a type, with its dot."""
    return mimetypes.guess_extension(kind) or ".bin"


def safe_type(declared: str) -> str:
    """The media type (RFC 6838 §4.2), or `application/octet-stream` if the part declares no valid one."""
    kind = declared.strip().lower()
    return kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"


def safe_disposition(kind: str, header: str | None, name: str) -> str:
    """The part's own Content-Disposition `header` as HTTP has it (RFC 6266).

    Only what a browser shows without running anything stays inline: markup of others' under this origin could act
    as the reader.
    """
    wanted = parse(header)["value"].lower() if header else ""
    inline = wanted == "inline" and (
        kind in _PASSIVE or (kind.startswith(_PASSIVE_KINDS) and not kind.endswith("+xml"))
    )
    name = _UNSAFE_NAME.sub("_", name)[:_LONGEST_NAME]
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    encoded = quote(name.encode("utf-8", "replace"), safe="")
    return f"{'inline' if inline else 'attachment'}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
