"""What the head of the document and its `x-` fields let pass, written down a second time, apart from the server.

Numbers and booleans may come as text and booleans as 0 or 1; `x-normalize` cuts blanks, lowers or splits; `x-empty`
says what an empty text means. A field of the body may come in the query, and one value in place of a list there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from server.contract.formats import FORMATS
from server.contract.operations import Contract, Operation
from server.contract.schemas import to_json_schema

_ABSENT = object()
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.I)
_WORDS = {
    **dict.fromkeys(("y", "true", "yes", "on", "1"), True),
    **dict.fromkeys(("n", "false", "no", "off", "0"), False),
}
CONTRACT = Contract()
OPERATIONS: Mapping[str, Operation] = {o.operation_id: o for o in CONTRACT.operations}


def is_taken_leniently(case: Any) -> bool:
    """Whether the input of a case is right once it is read as the document says."""
    operation = OPERATIONS[case.operation.definition.raw["operationId"]]
    if case.body is None:
        return not set(operation.required) & operation.body_properties.keys()  # JSON's null is no body
    fields = _fields(case, operation)
    schemas = _schemas(operation)
    read = {
        name: value
        for name, given in fields.items()
        if (value := _read(given, schemas.get(name, {}), as_list=name in _plain(case.query))) is not _ABSENT
    }
    read.pop("accessToken", None)
    return bool(_validator(operation.operation_id).is_valid(read))


def _fields(case: Any, operation: Operation) -> dict[str, Any]:
    """The path wins over a header, that over the query, and the query over the body, which is text in a form."""
    path = {_name(p): _plain(case.path_parameters).get(p["name"]) for p in _those_in("path", operation)}
    headers = {
        p["name"]: value for p in _those_in("header", operation) if (value := case.headers.get(p["name"]))
    }
    body = _plain(case.body)
    if case.media_type == "multipart/form-data":
        body = {name: "" if value is None else _as_text(value) for name, value in body.items()}
    return {**body, **_plain(case.query), **headers, **path}


def _those_in(place: str, operation: Operation) -> list[dict[str, Any]]:
    return [parameter for parameter in operation.parameters if parameter["in"] == place]


def _name(parameter: Mapping[str, Any]) -> str:
    return str(parameter.get("x-name", parameter["name"]))


def _as_text(value: Any) -> str:
    data = getattr(value, "data", value)
    return data.decode("latin-1") if isinstance(data, bytes) else str(data)


def _plain(part: Any) -> dict[str, Any]:
    return dict(part) if isinstance(part, Mapping) else {}


def _schemas(operation: Operation) -> dict[str, Any]:
    parameters = {_name(p): p["schema"] for p in operation.parameters}
    return {**parameters, **operation.body_properties}


@cache
def _validator(operation_id: str) -> Any:
    operation = OPERATIONS[operation_id]
    schema = {
        "type": "object",
        "properties": {name: to_json_schema(s, close=True) for name, s in _schemas(operation).items()},
        "required": [name for name in operation.required if name in _schemas(operation)],
        "additionalProperties": operation.ignores_unknown,
    }
    return jsonschema_rs.Draft202012Validator(schema, formats=dict(FORMATS), validate_formats=True)


def _read(value: Any, schema: Mapping[str, Any], *, as_list: bool = False) -> Any:
    kind = schema.get("x-type") or schema.get("type")
    if as_list and kind == "array" and isinstance(value, str):
        value = [value]
    if isinstance(value, str):
        value = _text(value, schema)
    if value == "" and (schema.get("x-empty") == "absent" or kind == "boolean"):
        return _ABSENT
    if value == "" and schema.get("x-empty") == "null":
        return None
    if isinstance(value, list):
        return [_read(part, schema.get("items", {})) for part in value]
    if isinstance(value, Mapping):
        parts = {n: _read(p, schema.get("properties", {}).get(n, {})) for n, p in value.items()}
        return {name: part for name, part in parts.items() if part is not _ABSENT}
    return _scalar(value, str(kind))


def _text(value: str, schema: Mapping[str, Any]) -> Any:
    for step in schema.get("x-normalize", ()):
        if step == "split":
            return [part.strip() for part in value.split(",") if part.strip()]
        value = value.strip() if step == "trim" else value.lower()
    return value


def _scalar(value: Any, kind: str) -> Any:
    if kind == "boolean":
        word = str(value).strip().lower() if isinstance(value, str | int | float) else value
        return _WORDS.get(word.removesuffix(".0"), value) if isinstance(word, str) else value
    if kind in ("integer", "number") and isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if kind == "uid-set" and type(value) is int:
        return str(value)
    if kind == "date" and str(value).strip().lower() == "false":
        return False
    if isinstance(value, float) and value.is_integer() and kind in ("integer", "number", "date"):
        return int(value)
    return value
