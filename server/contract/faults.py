"""Texts for what validation finds, keyed by the path of the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_TYPES: Mapping[str, str] = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "a boolean",
    "array": "an array",
    "object": "of type object",
    "null": "null",
}
_LABELS: Mapping[str, str] = {
    "sess": "Session identifier",
    "ip": "Client IP",
    "next": "Next page cursor",
    "previous": "Previous page cursor",
    "page": "Page number",
    "limit": "Page size",
}


def describe(errors: Iterable[Any]) -> dict[str, str]:
    """`{"targets,0": '"targets[0]" …'}` of the validator's errors; the first text of a path is kept."""
    faults: dict[str, str] = {}
    for error in errors:
        for path, text in _texts(error):
            faults.setdefault(",".join(map(str, path)), f'"{_label(path)}" {text}')
    return faults


def _label(path: list[str | int]) -> str:
    if len(path) == 1 and path[0] in _LABELS:
        return _LABELS[str(path[0])]
    label = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return label.removeprefix(".") or "value"


def _texts(error: Any) -> list[tuple[list[str | int], str]]:
    path, kind = list(error.instance_path), error.kind
    if kind.name == "required":
        return [([*path, kind.property], "is required")]
    if kind.name == "additionalProperties":
        return [([*path, name], "is not allowed") for name in kind.unexpected]
    return [(path, _text(kind, error.instance))]


def _text(kind: Any, instance: Any) -> str:
    match kind.name:
        case "type":
            return f"must be {_types(kind)}"
        case "minLength" if instance == "":
            return "is not allowed to be empty"
        case "minLength":
            return f"length must be at least {kind.limit} characters long"
        case "maxLength":
            return f"length must be less than or equal to {kind.limit} characters long"
        case "minimum" | "exclusiveMinimum":
            return f"must be greater than or equal to {kind.limit}"
        case "maximum" | "exclusiveMaximum":
            return (
                "must be a safe number"
                if kind.limit >= 2**53 - 1
                else f"must be less than or equal to {kind.limit}"
            )
        case "enum":
            return f"must be one of [{', '.join(map(str, kind.options))}]"
        case "pattern" if "0-9a-fA-F]{24}" in kind.pattern:
            return "must only contain hexadecimal characters and be 24 of them"
        case "pattern" if kind.pattern == r"\S":
            return "is not allowed to be empty"
        case "pattern":
            return f"fails to match the pattern {kind.pattern}"
        case "format":
            return _FORMAT_TEXTS.get(kind.format, "is not valid")
        case "uniqueItems":
            return "contains a duplicate value"
        case "maxItems":
            return f"must contain less than or equal to {kind.limit} items"
        case "minItems":
            return f"must contain at least {kind.limit} items"
        case _:
            return "does not match any of the allowed types"


_FORMAT_TEXTS: Mapping[str, str] = {
    "cursor": "contains an invalid value",
    "date-time-input": "must be a valid date",
    "email-address": "must be a valid email",
    "email-or-wildcard": "must be a valid email or wildcard address",
    "host-name": "must be a valid host name",
    "host-name-or-any": "must be a valid host name or *",
    "host-name-or-ip": "must be a valid host name or ip address",
    "ip": "must be a valid ip address",
    "login-name": "must be a valid username or email",
    "metadata": "must be the JSON of an object",
    "sender-pattern": "must be an address, or a part of one with * at its start or end",
    "smtp-uri": "must be an SMTP address",
    "target": "must be an email address or an SMTP or HTTP address",
    "uri": "must be a valid uri",
    "username": "must be a valid username",
}


def _types(kind: Any) -> str:
    types = kind.types if isinstance(kind.types, list | tuple) else [kind.types]
    return " or ".join(_TYPES.get(str(name), str(name)) for name in types)
