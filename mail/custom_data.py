"""Data of a caller's own, `metaData` and `internalData`, which WildDuck keeps as JSON in a text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson


def custom_data(stored: Any) -> Any:
    """The caller's own data, stored as JSON; text that is no JSON is returned as it is."""
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


def named_data(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, object]:
    """Return the fields of a caller's own that are set in `row`, of those that are asked for."""
    return {name: custom_data(row[name]) for name in names if row.get(name)}
