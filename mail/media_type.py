"""The media type of an attachment (RFC 2045 §5.1): as it was given, if a part in base64 may say so."""

from __future__ import annotations

import mimetypes
import re

from mail.parameters import parse

_ANY = "application/octet-stream"
_KIND = re.compile(r"[\w.+\-]+/[\w.+\-]+", re.A)
_NAME = re.compile(r"[a-z0-9\-]{1,64}")
_VALUE = re.compile(r"[\x20-\x7e]{1,255}")
# The disposition has the name; nothing but a multipart has a boundary.
_NOT_TAKEN = frozenset({"name", "boundary"})


def media_type(given: str, filename: str) -> tuple[str, dict[str, str]]:
    """Type and parameters, such as `text/calendar` and its `method`; by the file's name where nothing is given.

    What must not be encoded (RFC 2046 §5) is shown as bytes of any kind.
    """
    parsed = parse(given.strip())
    kind = parsed["value"].lower() or (mimetypes.guess_type(filename)[0] if filename else None) or _ANY
    if not _KIND.fullmatch(kind) or kind.startswith(("multipart/", "message/")):
        return _ANY, {}
    return kind, {
        name: value
        for name, value in parsed["params"].items()
        if name not in _NOT_TAKEN and _NAME.fullmatch(name) and _VALUE.fullmatch(value)
    }


def extension_of(kind: str) -> str:
    """A file's ending for a type, with its dot."""
    return mimetypes.guess_extension(kind) or ".bin"
