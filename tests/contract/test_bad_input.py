"""Each field of each operation with values that its schema refuses: the answer names it, and nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from server.contract.operations import Contract, Operation
from tests.contract.badvalues import NO_SUCH_FIELD, bad_values
from tests.contract.world import Request, World

OPERATIONS = {operation.operation_id: operation for operation in Contract().operations}


@dataclass(frozen=True, slots=True)
class Case:
    """A request in which one value is bad; `field` is how the answer must name it."""

    request: Request
    field: str
    value: Any


def cases(request: Request) -> Iterator[Case]:
    """One for each field and each bad value, one for each field that is needed, one for a field that there is not."""
    yield from bad_parameters(request)
    if isinstance(request.body, dict):
        yield from bad_fields(request)
        yield from without_what_is_needed(request)


def bad_parameters(request: Request) -> Iterator[Case]:
    for parameter in request.operation.parameters:
        for _, value in bad_values(parameter["schema"], as_text=True):
            if is_sendable(parameter["in"], value):
                name = parameter.get("x-name", parameter["name"])
                yield Case(with_parameter(request, parameter, value), name, value)


def bad_fields(request: Request) -> Iterator[Case]:
    object_schema = {"properties": request.operation.body_properties}
    for place, value in bad_values(object_schema):
        if not (NO_SUCH_FIELD in place and request.operation.ignores_unknown):
            yield Case(replace(request, body={**request.body, **value}), ",".join(place), value)


def is_sendable(place: str, value: Any) -> bool:
    """A part of a path is not empty and has no slash."""
    return place != "path" or (value != "" and "/" not in str(value))


def with_parameter(request: Request, parameter: Mapping[str, Any], value: Any) -> Request:
    changed = {parameter["name"]: value}
    if parameter["in"] == "path":
        return replace(request, path={**request.path, **changed})
    return replace(request, query={**request.query, **changed})


def without_what_is_needed(request: Request) -> Iterator[Case]:
    for name in request.body.keys() & set(request.operation.required):
        body = {field: value for field, value in request.body.items() if field != name}
        yield Case(replace(request, body=body), name, "left out")


def is_named(answer: Any, field: str) -> bool:
    """Whether it says that this field is at fault, or the one that it is in, or something in it."""
    if answer.mimetype != "application/json" or answer.json.get("code") != "InputValidationError":
        return False
    at_fault = [f"{name}," for name in answer.json["details"]]
    field = f"{field},"
    return answer.status_code == 400 and any(a.startswith(field) or field.startswith(a) for a in at_fault)


def fields_of(operation: Operation) -> set[str]:
    return {p.get("x-name", p["name"]) for p in operation.parameters} | operation.body_properties.keys()


def test_what_is_bad_follows_from_the_schema() -> None:
    limit = {"type": "integer", "minimum": 1, "maximum": 250}
    assert {0, 251, "many", 1.5} <= {value for _, value in bad_values(limit, as_text=True)}
    names = {"type": "array", "items": {"type": "string", "maxLength": 3}}
    assert (("0",), ["xxxx"]) in list(bad_values(names))
    body = {"type": "object", "properties": {"limit": limit}}
    assert (("limit",), {"limit": 251}) in list(bad_values(body))
    assert ((NO_SUCH_FIELD,), {NO_SUCH_FIELD: 1}) in list(bad_values(body))


@pytest.mark.parametrize("name", OPERATIONS)
def test_bad_input_names_the_field_and_changes_nothing(world: World, name: str) -> None:
    request = next(world.requests(name, world.furnish(name)))
    before = world.disk.keep()
    all_cases = list(cases(request))
    assert fields_of(request.operation) <= {case.field.split(",")[0] for case in all_cases}
    answers = [(case, world.send(case.request)) for case in all_cases]
    wrong = [
        (case.field, case.value, answer.data) for case, answer in answers if not is_named(answer, case.field)
    ]
    assert wrong == []
    assert world.disk.changed_since(before) == []


WITH_BODY = [name for name, operation in OPERATIONS.items() if operation.has_body]


@pytest.mark.parametrize("name", WITH_BODY)
def test_a_body_that_is_none_or_too_large_changes_nothing(world: World, name: str) -> None:
    request = next(world.requests(name, world.furnish(name)))
    operation, before = request.operation, world.disk.hashes()

    def code(content: bytes, kind: str, **more: Any) -> Any:
        sent: dict[str, Any] = {"data": content, "headers": {"Content-Type": kind, **request.headers}, **more}
        return world.client.request(operation.method.upper(), request.url, **sent).json.get("code")

    assert code(b'{"no end', "application/json") == "InvalidContent"
    assert code(b"[1]", "application/json") == "InvalidContent"
    announced = {"CONTENT_LENGTH": str(operation.largest_body + 1)}
    assert code(b"{}", "application/json", environ_overrides=announced) == "RequestTooLarge"
    if not operation.takes_raw:
        assert code(b"a,b", "text/csv") == "UnsupportedMediaType"
    assert world.disk.hashes() == before
