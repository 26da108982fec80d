"""Schemas of the contract, compiled once: how a value is coerced, checked and turned into a Python value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson
from bson import ObjectId

from server.contract.formats import read_date

Schema: TypeAlias = Mapping[str, Any]
"""A fragment of OpenAPI or of JSON Schema, or the whole document."""
Step = Callable[[Any], Any]

ABSENT: Any = object()
LARGEST_SAFE = 2**53 - 1
_LARGEST_METADATA = 1_048_576

_ANNOTATIONS = frozenset(
    {"description", "example", "default", "deprecated", "title", "readOnly", "writeOnly", "xml"}
)
_TRUE = frozenset({"y", "true", "yes", "on", "1"})
_FALSE = frozenset({"n", "false", "no", "off", "0"})
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_BLANKS = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""Blanks of patterns in JSON Schema (ECMA-262), so that a text is blank to `\\S` just when nothing is left of it."""


def _trim(text: str) -> str:
    return text.strip(_BLANKS)


def _split(text: str) -> list[str]:
    """The parts between commas, without blanks around them."""
    return [part for part in map(_trim, text.split(",")) if part]


_CUT: Mapping[str, Step] = {"trim": _trim, "lower": str.lower, "split": _split}


class TooLarge(ValueError):
    """A value has the right form and is too large; the text says how large it may be."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """`json_schema` to check with; `coerce` before the check and `convert` after it, None where nothing is to do."""

    json_schema: dict[str, Any]
    coerce: Step | None
    convert: Step | None


def inline(document: Schema, schema: Any) -> Any:
    """A copy of `schema` without references. An `allOf` of one becomes that one, merged with its siblings."""
    if isinstance(schema, list):
        return [inline(document, part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return inline(document, resolve(document, schema["$ref"]))
    inlined = {name: inline(document, part) for name, part in schema.items()}
    if len(inlined.get("allOf", ())) == 1:
        return _joined(inlined.pop("allOf")[0], inlined)
    return inlined


def _joined(base: Schema, beside: Schema) -> Schema:
    joined = {**base, **beside}
    if "properties" in base and "properties" in beside:
        joined["properties"] = {**base["properties"], **beside["properties"]}
    return joined


def resolve(document: Schema, reference: str) -> Any:
    """What a local reference `#/a/b` points to."""
    target: Any = document
    for part in reference.removeprefix("#/").split("/"):
        target = target[part.replace("~1", "/").replace("~0", "~")]
    return target


def compile_schema(schema: Schema, *, drop_unknown: bool = False) -> Compiled:
    """Compile one inlined request schema of OpenAPI 3.0, which refuses unknown properties or drops them."""
    if drop_unknown:
        schema = _dropping_unknown(schema)
    return Compiled(to_json_schema(schema, close=True), _coercion(schema), _conversion(schema))


def _dropping_unknown(schema: Any) -> Any:
    """The schema with a mark on each object, at every level."""
    if isinstance(schema, list):
        return [_dropping_unknown(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    marked = {name: _dropping_unknown(part) for name, part in schema.items()}
    return {**marked, "x-unknown": "ignored"} if "properties" in marked else marked


def to_json_schema(schema: Any, *, close: bool) -> Any:
    """JSON Schema of an OpenAPI 3.0 schema. `close` refuses unknown properties, as requests must."""
    if isinstance(schema, list):
        return [to_json_schema(part, close=close) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    result = {
        name: (
            {key: to_json_schema(part, close=close) for key, part in value.items()}
            if name == "properties"
            else value
            if name in ("enum", "required")
            else to_json_schema(value, close=close)
        )
        for name, value in schema.items()
        if name not in _ANNOTATIONS and not name.startswith("x-") and name != "nullable"
    }
    return _as_2020(schema, result, close=close)


def _as_2020(schema: Schema, result: Schema, *, close: bool) -> Schema:
    if close and result.get("properties") and schema.get("x-unknown") != "ignored":
        result = {"additionalProperties": False, **result}
    if schema.get("nullable"):
        return _or_null(result)
    return result


def _or_null(schema: Schema) -> Schema:
    """A list of types where that will do: of `anyOf` the validator does not say which part of a value is at fault."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _coercion(schema: Schema) -> Step | None:
    steps = [_CUT[name] for name in schema.get("x-normalize", ())]
    steps = [_only(str, step) for step in steps]
    if schema.get("x-empty") == "null":
        steps.append(_empty_to_null)
    if schema.get("x-empty") == "absent" or schema.get("type") == "boolean":
        steps.append(_drop_empty)
    kind = str(schema.get("x-type") or schema.get("type"))
    if kind in _BY_TYPE:
        steps.append(_BY_TYPE[kind])
    elif kind == "array":
        steps.extend(_in_array(_coercion(schema.get("items", {}))))
    elif schema.get("properties"):
        steps.extend(_in_object(schema))
    return _chain(steps)


def _only(kind: type, step: Step) -> Step:
    return lambda value: step(value) if isinstance(value, kind) else value


def _chain(steps: list[Step]) -> Step | None:
    if not steps:
        return None
    if len(steps) == 1:
        return steps[0]

    def run(value: Any) -> Any:
        for step in steps:
            if value is ABSENT:
                return ABSENT
            value = step(value)
        return value

    return run


def _drop_empty(value: Any) -> Any:
    return ABSENT if value == "" else value


def _empty_to_null(value: Any) -> Any:
    return None if value == "" else value


def _boolean(value: Any) -> Any:
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else value
    return bool(value) if type(value) in (int, float) and value in (0, 1) else value


def _number(value: Any) -> Any:
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = float(value) if len(value) < 400 else value
    if (
        isinstance(value, float)
        and math.isfinite(value)
        and value.is_integer()
        and abs(value) <= LARGEST_SAFE
    ):
        return int(value)
    return value


def _date(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() == "false":
        return False
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _digits(value: Any) -> Any:
    """UIDs are sets, written as text; a single one may come as a number."""
    return str(value) if type(value) is int else value


_BY_TYPE: Mapping[str, Step] = {
    "boolean": _boolean,
    "integer": _number,
    "number": _number,
    "date": _date,
    "uid-set": _digits,
}


def _in_array(item: Step | None) -> list[Step]:
    if item is None:
        return []
    return [lambda value: [item(part) for part in value] if isinstance(value, list) else value]


def _in_object(schema: Schema) -> list[Step]:
    steps = {name: step for name, part in schema["properties"].items() if (step := _coercion(part))}
    defaults = {name: part["default"] for name, part in schema["properties"].items() if "default" in part}

    known = schema["properties"].keys() if schema.get("x-unknown") == "ignored" else None

    def run(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if known is not None:
            value = {name: part for name, part in value.items() if name in known}
        return coerce_fields(value, steps, defaults)

    return [run] if steps or defaults or known else []


def coerce_fields(
    values: Mapping[str, Any], steps: Mapping[str, Step], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Coerce each field that has a step, leave out those that turn out absent, add defaults."""
    result = {name: steps[name](value) if name in steps else value for name, value in values.items()}
    result = {name: value for name, value in result.items() if value is not ABSENT}
    for name, value in defaults.items():
        result.setdefault(name, value)
    return result


def _conversion(schema: Schema) -> Step | None:
    kind = schema.get("x-type")
    if kind == "date":
        return _to_date
    if kind == "metadata":
        return _to_metadata
    if schema.get("format") == "object-id":
        return ObjectId
    if schema.get("format") == "date-time":
        return _to_date
    if schema.get("type") == "array" and (item := _conversion(schema.get("items", {}))):
        return lambda value: [item(part) for part in value]
    if schema.get("properties"):
        return _convert_object(schema)
    return None


def _convert_object(schema: Schema) -> Step | None:
    steps = {name: step for name, part in schema["properties"].items() if (step := _conversion(part))}
    if not steps:
        return None
    return lambda value: {
        name: steps[name](part) if name in steps and part is not None else part
        for name, part in value.items()
    }


def _to_date(value: Any) -> Any:
    if isinstance(value, str):
        return read_date(value)
    if type(value) is int:
        return datetime.fromtimestamp(value / 1000, UTC)
    return value


def _to_metadata(value: Any) -> Any:
    """Text was measured by its schema; an object shows its size only when it is written."""
    if isinstance(value, str):
        return orjson.loads(value)
    if len(orjson.dumps(value)) > _LARGEST_METADATA:
        raise TooLarge(f"must be at most {_LARGEST_METADATA} bytes of JSON")
    return value
