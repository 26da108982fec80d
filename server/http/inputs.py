"""An operation's input: path, query and body merged into one set of fields, checked as one.

Clients of the original send a field wherever they like, so every declared field may come from the query or from
the body; the path wins over the query, the query over the body.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import inflection
import jsonschema_rs
from bson import ObjectId

from problems import InvalidInput
from server.contract.faults import describe
from server.contract.formats import FORMATS
from server.contract.operations import Operation
from server.contract.schemas import Compiled, TooLarge, coerce_fields, compile_schema
from server.http.request import Fields
from storage.base.paging import Paging

_PAGING = ("limit", "next", "previous", "page")
_LABELS = ("sess", "ip")
_SEVERAL = "array"
_DEEPEST = 5


class InputReader:
    """Reads and checks the input of one operation; everything that can be is prepared in the constructor."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._path_names = {
            p["name"]: p.get("x-name", p["name"]) for p in operation.parameters if p["in"] == "path"
        }
        schemas = {p.get("x-name", p["name"]): p["schema"] for p in operation.parameters}
        self._parameters = frozenset(schemas)
        self._objects = frozenset(
            name for name, schema in operation.body_properties.items() if schema.get("properties")
        )
        self._arrays = frozenset(name for name, schema in schemas.items() if schema.get("type") == _SEVERAL)
        schemas.update(operation.body_properties)
        self._data = frozenset(name for name, schema in schemas.items() if schema.get("x-type") == "metadata")
        compiled = {
            name: compile_schema(schema, drop_unknown=operation.ignores_unknown)
            for name, schema in schemas.items()
        }
        self._known = frozenset(compiled)
        self._coerce = {name: c.coerce for name, c in compiled.items() if c.coerce}
        self._convert = {name: c.convert for name, c in compiled.items() if c.convert}
        self._defaults = {name: schema["default"] for name, schema in schemas.items() if "default" in schema}
        self._validator = _validator(compiled, operation)
        self._body_names = frozenset(operation.body_properties) - self._parameters

    def read(self, path: Mapping[str, str], query: Fields, body: Fields, me: ObjectId | None) -> Fields:
        """All fields, coerced, checked and converted. Raises InvalidInput that names every field at fault."""
        values = self._merged(path, query, body)
        if values.get("user") == "me":
            values["user"] = str(me) if me else ""
        values = coerce_fields(values, self._coerce, self._defaults)
        self._check(values)
        return self._converted(values)

    def _merged(self, path: Mapping[str, str], query: Fields, body: Fields) -> Fields:
        values = {self._path_names.get(name, name): value for name, value in path.items()}
        for source in (self._query_fields(query), body):
            for name, value in self._placed(source).items():
                if name != "accessToken" and not values.get(name):
                    values[name] = value
        if self._operation.ignores_unknown:
            return {name: value for name, value in values.items() if name in self._known}
        return values

    def _query_fields(self, query: Fields) -> Fields:
        return {
            name: [value] if name in self._arrays and isinstance(value, str) else value
            for name, value in query.items()
        }

    def _placed(self, fields: Fields) -> Fields:
        """`mailboxes.sent` goes into the object `mailboxes`, `metaData.a.b` two deep, `or.from` is its own name."""
        placed: Fields = {}
        for name, value in fields.items():
            head, _, rest = name.partition(".")
            if rest and name not in self._known and head in self._objects:
                _put(placed, [head, rest], value)
            elif rest and head in self._data and len(path := name.split(".")) <= _DEEPEST and all(path):
                _put(placed, path, value)
            else:
                placed[name] = value
        return placed

    def _check(self, values: Fields) -> None:
        if not self._validator.is_valid(values):
            raise InvalidInput(describe(self._validator.iter_errors(values)))

    def _converted(self, values: Fields) -> Fields:
        faults: dict[str, str] = {}
        for name in self._convert.keys() & values.keys():
            try:
                values[name] = self._convert[name](values[name]) if values[name] is not None else None
            except TooLarge as error:
                faults[name] = f'"{name}" {error}'
        if faults:
            raise InvalidInput(faults)
        return values

    def split(self, values: Fields) -> tuple[Fields, Fields]:
        """The keyword arguments of the handler, in snake case, and what belongs into `body`."""
        arguments = {
            snake_case(name): value
            for name, value in values.items()
            if name not in self._body_names and name not in _LABELS
        }
        body = {
            name: value for name, value in values.items() if name in self._body_names and name not in _LABELS
        }
        return arguments, body


def _put(fields: Fields, path: list[str], value: Any) -> None:
    """Set what is within objects, and nothing where one on the way is no object."""
    holder: Any = fields
    for name in path[:-1]:
        holder = holder.setdefault(name, {}) if isinstance(holder, dict) else None
    if isinstance(holder, dict):
        holder[path[-1]] = value


def _validator(compiled: Mapping[str, Compiled], operation: Operation) -> Any:
    schema = {
        "type": "object",
        "properties": {name: c.json_schema for name, c in compiled.items()},
        "required": operation.required,
        "additionalProperties": False,
    }
    return jsonschema_rs.Draft202012Validator(schema, formats=dict(FORMATS), validate_formats=True)


@cache
def snake_case(name: str) -> str:
    """`markAsSeen` → `mark_as_seen`, `or.query` → `or_query`."""
    return inflection.underscore(name.replace(".", "_"))


class Arguments:
    """Fits the split input to the signature of a handler, whose faults show at start and not on a request."""

    def __init__(self, operation: Operation, function: Callable[..., Any]) -> None:
        signature = inspect.signature(function)
        self._names = set(signature.parameters)
        takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        self._takes_paging = "paging" in self._names
        self._takes_body = "body" in self._names
        declared = (
            set() if takes_all else {snake_case(p.get("x-name", p["name"])) for p in operation.parameters}
        )
        missing = (
            declared - self._names - set(_LABELS) - {"page"} - (set(_PAGING) if self._takes_paging else set())
        )
        if missing:
            raise TypeError(f"{operation.operation_id}: the handler lacks the arguments {sorted(missing)}")
        if operation.has_body and not (self._takes_body or takes_all):
            raise TypeError(f"{operation.operation_id}: the handler lacks the argument body")

    def fit(self, arguments: Fields, body: Fields) -> Fields:
        """The keyword arguments to call the handler with."""
        if self._takes_paging:
            arguments["paging"] = Paging(
                **{name: arguments.pop(name) for name in _PAGING if name in arguments}
            )
        elif "page" not in self._names:
            arguments.pop("page", None)
        if self._takes_body:
            arguments["body"] = body
        return arguments
