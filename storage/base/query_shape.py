"""What a database operation looks like without any value, for logs: fields, operators, stages, how deep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEEPEST = 8
_LONGEST_LIST = 8
_MOST_FIELDS = 24
_LONGEST_NAME = 64


def shape(value: Any, depth: int = _DEEPEST) -> Any:
    """The value with `?` in place of everything that is no field, operator or list.

    Equal neighbours in a list are told once. Names of fields are cut where somebody's text may have become one.
    """
    if isinstance(value, Mapping):
        return _fields(value, depth) if depth else "{…}"
    if isinstance(value, list | tuple):
        return _items(value, depth) if depth else "[…]"
    return "?"


def _fields(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    pairs = list(value.items())
    shown = {_name(name): shape(part, depth - 1) for name, part in pairs[:_MOST_FIELDS]}
    return shown if len(pairs) <= _MOST_FIELDS else {**shown, "…": len(pairs) - _MOST_FIELDS}


def _name(name: Any) -> str:
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + "…"


def _items(value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
    shown: list[Any] = []
    for part in value[:_LONGEST_LIST]:
        item = shape(part, depth - 1)
        if not shown or shown[-1] != item:
            shown.append(item)
    return shown if len(value) <= _LONGEST_LIST else [*shown, "…"]
