"""Headers of an HTTP answer that hands out a part of a message, which anybody may have written."""

from __future__ import annotations

import re
from urllib.parse import quote

from mail.parameters import parse

_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+\-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+\-]{0,126}")
_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\"\\/]+")
_LONGEST_NAME = 255
_PASSIVE = frozenset({"text/plain", "application/pdf"})
_PASSIVE_KINDS = ("image/", "audio/", "video/")


def safe_type(declared: str) -> str:
    """The media type (RFC 6838 §4.2), or that of bytes where what the part declares is none."""
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
