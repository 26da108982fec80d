"""Bytes of any declared charset as text; nothing fails, foreign bytes become U+FFFD.

Python knows codecs that are no charsets and refuse to pass over anything: these are as good as unknown.
"""

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
    "windows31j": "cp932",
    "windows874": "cp874",
    "xmaccyrillic": "mac-cyrillic",
}
# What mail programs write under a name is the wider charset that grew out of it (WHATWG Encoding §4.2).
_WIDER = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
}
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"})
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
    if not info._is_text_encoding or info.name in _NO_CHARSETS:
        return None
    return _WIDER.get(info.name, info.name)
