"""Values that a schema of the contract refuses, made of the schema itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Place = tuple[str, ...]

NO_SUCH_FIELD = "noSuchField"
_NO_FORM = "not of this form!"
_NO_PATTERN = "a//b\r\nc!"
_OF_NO_TYPE: Mapping[str, list[Any]] = {
    "string": [{"an": "object"}, ["a list"]],
    "boolean": ["perhaps", {"an": "object"}, 2],
    "integer": ["many", {"an": "object"}, True, 1.5],
    "number": ["many", {"an": "object"}, True],
    "array": [{"an": "object"}, 5],
    "object": ["text", 5, ["a list"]],
}


def bad_values(schema: Schema, *, as_text: bool = False) -> Iterator[tuple[Place, Any]]:
    """Each bad value with the place in it that is at fault, () for the whole; `as_text`: such as a query can hold."""
    found = [*_of_wrong_type(schema), *_outside_limits(schema), *_inside(schema)]
    for place, value in found:
        if not as_text or (place == () and isinstance(value, str | int | float) and value is not True):
            yield place, value


def _of_wrong_type(schema: Schema) -> Iterator[tuple[Place, Any]]:
    kinds = {part.get("type") for part in (schema, *alternatives(schema))} - {None}
    if "x-type" in schema or not kinds:
        return
    if len(kinds) == 1:
        yield from (((), value) for value in _OF_NO_TYPE[kinds.pop()])
    elif "array" not in kinds:
        yield (), ["a list"]


def alternatives(schema: Schema) -> list[Schema]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]


def _outside_limits(schema: Schema) -> Iterator[tuple[Place, Any]]:
    if "maxLength" in schema and schema["maxLength"] < 100_000:
        yield (), "x" * (schema["maxLength"] + 1)
    if schema.get("minLength") and schema.get("x-empty") is None:
        yield (), ""
    if "pattern" in schema:
        yield from (((), text) for text in (_NO_FORM, _NO_PATTERN) if not re.search(schema["pattern"], text))
    if schema.get("anyOf") and all({"format", "pattern"} & part.keys() for part in schema["anyOf"]):
        yield (), _NO_FORM
    if any(name in schema for name in ("enum", "format")) and schema.get("format") != "binary":
        yield (), _NO_FORM
    if "minimum" in schema:
        yield (), schema["minimum"] - 1
    if schema.get("type") in ("integer", "number"):
        yield (), schema.get("maximum", 2**53 - 1) + 1
    if schema.get("x-type") in ("date", "metadata", "uid-set"):
        yield (), _NO_FORM


def _inside(schema: Schema) -> Iterator[tuple[Place, Any]]:
    """An object or a list that is right but for one part."""
    for name, part in schema.get("properties", {}).items():
        for place, value in bad_values(part):
            yield (name, *place), {name: value}
    if schema.get("properties") and schema.get("x-unknown") != "ignored":
        yield (NO_SUCH_FIELD,), {NO_SUCH_FIELD: 1}
    if schema.get("type") == "array":
        for place, value in bad_values(schema.get("items", {})):
            yield ("0", *place), [value]
