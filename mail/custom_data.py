"""Data of a caller's own, `metaData` and `internalData`, which WildDuck keeps as JSON in a text."""

from __future__ import annotations

import json
from typing import Any

import orjson


def custom_data(stored: Any) -> Any:
    """Data of the caller's own, which is stored as JSON; text that is none is handed out as it is."""
    if not isinstance(stored, str):
        return stored or {}
    try:
        return orjson.loads(stored) if stored else {}
    except orjson.JSONDecodeError:
        return _from_javascript(stored)


def _from_javascript(stored: str) -> Any:
    """JSON that JavaScript writes and no other takes: with halves of characters, or numbers beyond all limits."""
    try:
        value = json.loads(stored)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return stored
