"""Bytes of any declared charset as text; nothing fails, foreign bytes become U+FFFD."""

from __future__ import annotations

import codecs
from functools import lru_cache

_ALIASES = {
    "iso88598i": "iso-8859-8",
    "iso88598e": "iso-8859-8",
    "unicode11utf7": "utf-7",
    "xunicode20utf7": "utf-7",
    "utf8mb4": "utf-8",
    "xgbk": "gbk",
    "xsjis": "shift_jis",
    "xmacroman": "mac-roman",
    "ansix341968": "ascii",
}
_UTF8 = frozenset({"ascii", "us-ascii", "utf-8", "utf8"})


def decode(data: bytes, charset: str = "") -> str:
    """`data` as text. Without a charset, or with an unknown one, UTF-8 is tried first, then windows-1252."""
    codec = _codec(charset.strip().strip("\"'"))
    if codec is None or codec in _UTF8:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("utf-8" if codec else "cp1252", "replace")
    return data.decode(codec, "replace").encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=256)
def _codec(charset: str) -> str | None:
    key = "".join(c for c in charset.lower() if c.isalnum())
    try:
        info = codecs.lookup(_ALIASES.get(key, charset))
    except (LookupError, ValueError):
        return None
    return info.name if info._is_text_encoding else None
