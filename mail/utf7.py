"""Names of mailboxes as IMAP and Maildir++ write them: modified UTF-7 (RFC 3501 §5.1.3)."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode

_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")


def decoded(name: str) -> str:
    """The name for people; what is no modified UTF-7 stays as it is."""
    try:
        return _SHIFTED.sub(_plain, name)
    except (binascii.Error, UnicodeDecodeError):
        return name


def _plain(match: re.Match[str]) -> str:
    digits = match[1].replace(",", "/")
    return b64decode(digits + "=" * (-len(digits) % 4)).decode("utf-16-be") if digits else "&"
