"""JSON as the API sends it: ids as hex, dates as ISO 8601 in UTC with milliseconds and Z, two blanks of indent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import orjson
from bson import ObjectId

_OPTIONS = (
    orjson.OPT_INDENT_2
    | orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_NON_STR_KEYS
)
_WHOLE = re.compile(rb"\.0(?=,?\n)")


def dumps(answer: Any) -> bytes:
    """Encode an answer. Raises TypeError on a value that has no JSON form.

    Whole numbers have no `.0`: WildDuck stores any of more than 32 bits, a quota of 5 GiB or a retention of a month,
    as floating-point ones, and clients of other languages refuse `5368709120.0` as a whole number. A `.0` before the
    end of a line is never part of a text, in which a line's end is escaped, and which ends in a quotation mark.
    """
    data = orjson.dumps(answer, default=_plain, option=_OPTIONS)
    return _WHOLE.sub(b"", data) if b".0\n" in data or b".0,\n" in data else data


def _plain(value: Any) -> Any:
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, datetime):
        return date_text(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def date_text(value: datetime) -> str:
    """`2024-01-31T10:20:30.123Z`; a date without a time zone is in UTC."""
    if value.tzinfo:
        value = value.astimezone(UTC)
    return value.isoformat("T", "milliseconds")[:23] + "Z"
