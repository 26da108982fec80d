"""A schema of the contract in words, and its fields as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from server.contract.schemas import LARGEST_SAFE, Schema

_FORMATS = {
    "binary": "bytes",
    "cursor": "cursor",
    "date-time": "date",
    "date-time-input": "date",
    "email-address": "e-mail address",
    "email-or-wildcard": "e-mail address or wildcard",
    "host-name": "host name",
    "host-name-or-any": "host name or `*`",
    "host-name-or-ip": "host name or IP address",
    "ip": "IP address",
    "login-name": "user name or e-mail address",
    "object-id": "id",
    "sender-pattern": "e-mail address, or a part of one with `*`",
    "smtp-uri": "`smtp:` or `smtps:` URL",
    "target": "e-mail address, `smtp:` or `http:` URL",
    "uri": "URL",
    "username": "user name",
}
_KINDS = {
    "date": ("date", "milliseconds since 1970"),
    "metadata": ("object", "its JSON as text"),
    "uid-set": ("UID", "set of UIDs such as `1,2,5:9`", "`1:*` for all"),
}
_IDS = frozenset({"^[0-9a-f]{24}$", "^[0-9a-fA-F]{24}$", "^([0-9a-fA-F]{24}|me)$"})


@dataclass(frozen=True, slots=True)
class Row:
    """One field: its name, dotted if it is part of another, `[]` for each of a list."""

    name: str
    kind: str
    text: str
    required: bool = False


def rows(schema: Schema, prefix: str = "") -> Iterator[Row]:
    """The fields of an object, each followed by its own."""
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        yield row(prefix + name, part, required=name in required)
        yield from _inner(part, prefix + name)


def row(name: str, schema: Schema, *, required: bool, description: str = "") -> Row:
    """A field by itself; `description` is the parameter's."""
    text = (description or schema.get("description", "")).strip()
    if "default" in schema:
        text = f"{text} Default {code(schema['default'])}.".strip()
    if schema.get("deprecated"):
        text = f"Deprecated. {text}"
    return Row(name, kind(schema), " ".join(text.split()), required)


def _inner(schema: Schema, name: str) -> Iterator[Row]:
    for part in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if part.get("type") == "array":
            yield from _inner(part["items"], f"{name}[]")
        elif part.get("properties"):
            yield from rows(part, f"{name}.")


def kind(schema: Schema) -> str:
    """Type and limits, such as `text, 1 to 128 characters`."""
    words = _kind(schema)
    return f"{words} or `null`" if schema.get("nullable") and not words.endswith("`null`") else words


def _kind(schema: Schema) -> str:
    parts = schema.get("anyOf") or schema.get("oneOf") or ()
    if known := _KINDS.get(schema.get("x-type", "")):
        allows_false = any(part.get("enum") == [False] for part in parts)
        return _either(*known, *(["`false`"] if allows_false else []))
    if parts:
        return _either(*dict.fromkeys(map(kind, parts)))
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    limits = ", ".join(_limits(schema))
    return _noun(schema) + (f", {limits}" if limits else "")


def _either(*kinds: str) -> str:
    *first, last = kinds
    return f"{', '.join(first)} or {last}" if first else last


def _noun(schema: Schema) -> str:
    match schema.get("type"):
        case "string" if schema.get("pattern") in _IDS:
            return "id"
        case "string":
            return _FORMATS.get(schema.get("format", ""), "text")
        case "array":
            count = "".join(_span(schema.get("minItems"), schema.get("maxItems"), ""))
            return f"list of {count}{': ' if count else ''}{kind(schema['items'])}"
        case "integer":
            return "whole number"
        case other:
            return str(other or "anything")


def _limits(schema: Schema) -> Iterator[str]:
    yield from _span(schema.get("minLength"), schema.get("maxLength"), " characters")
    yield from _span(_bound(schema, "minimum"), _bound(schema, "maximum"), "")
    if schema.get("pattern", "") not in _IDS | {""}:
        yield f"like {code(schema['pattern'])}"


def _bound(schema: Schema, name: str) -> int | None:
    """A limit that says more than that a number can be sent."""
    limit = schema.get(name)
    return limit if limit is not None and abs(limit) < LARGEST_SAFE else None


def _span(minimum: int | None, maximum: int | None, unit: str) -> Iterator[str]:
    if maximum is not None and minimum is not None:
        yield f"{minimum} to {maximum}{unit}"
    elif maximum is not None:
        yield f"at most {maximum}{unit}"
    elif minimum is not None:
        yield "not empty" if unit and minimum == 1 else f"at least {minimum}{unit}"


def code(value: Any) -> str:
    """A value in JSON as code; plain text without its quotes."""
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"
