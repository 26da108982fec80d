"""Coercion and conversion of request values, as clients of the original send them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest
from bson import ObjectId

from server.contract.schemas import ABSENT, compile_schema, inline

BOOLEAN = {"type": "boolean"}
NUMBER = {"type": "number"}
INTEGER = {"type": "integer"}
DATE = {"x-type": "date", "x-empty": "absent", "anyOf": [{"type": "string"}, {"type": "integer"}]}


def coerced(schema: dict[str, Any], value: Any) -> Any:
    step = compile_schema(schema).coerce
    return step(value) if step else value


@pytest.mark.parametrize("value", [True, "true", "Y", "yes", "ON", "1", 1, 1.0, " true "])
def test_true(value: Any) -> None:
    assert coerced(BOOLEAN, value) is True


@pytest.mark.parametrize("value", [False, "false", "N", "no", "OFF", "0", 0])
def test_false(value: Any) -> None:
    assert coerced(BOOLEAN, value) is False


@pytest.mark.parametrize("value", [2, "maybe", None, [], -1])
def test_no_boolean_stays_for_validation_to_refuse(value: Any) -> None:
    assert coerced(BOOLEAN, value) == value
    assert type(coerced(BOOLEAN, value)) is type(value)


def test_an_empty_boolean_is_absent() -> None:
    assert coerced(BOOLEAN, "") is ABSENT


@pytest.mark.parametrize(
    ("value", "number"),
    [("12", 12), ("12e3", 12000), (" +7 ", 7), (".5", 0.5), ("5.", 5), (7.0, 7), ("007", 7)],
)
def test_numbers(value: Any, number: float) -> None:
    assert coerced(NUMBER, value) == number


@pytest.mark.parametrize("value", ["", "0x10", "Infinity", "NaN", "1,000", None, True, "1e999", "١٢"])
def test_no_number_stays_for_validation_to_refuse(value: Any) -> None:
    assert not compile_is_valid(INTEGER, coerced(INTEGER, value))


def compile_is_valid(schema: dict[str, Any], value: Any) -> bool:
    import jsonschema_rs

    return bool(jsonschema_rs.Draft202012Validator(compile_schema(schema).json_schema).is_valid(value))


def test_unknown_properties_are_refused_or_dropped_at_every_level() -> None:
    inner = {"type": "object", "properties": {"a": {"type": "string"}}}
    schema = {"type": "object", "properties": {"list": {"type": "array", "items": inner}}}
    given = {"list": [{"a": "x", "b": 1}], "c": 2}
    assert not compile_is_valid(schema, given)
    dropping = compile_schema(schema, drop_unknown=True)
    assert dropping.coerce
    assert dropping.coerce(given) == {"list": [{"a": "x"}]}


def test_nested_fields_are_coerced_and_get_their_defaults() -> None:
    schema = {"type": "object", "properties": {"a": BOOLEAN, "b": {"type": "string", "default": "x"}}}
    assert coerced(schema, {"a": "yes"}) == {"a": True, "b": "x"}


def test_unknown_nested_fields_are_refused() -> None:
    schema = {"type": "object", "properties": {"a": BOOLEAN}}
    assert not compile_is_valid(schema, {"a": True, "b": 1})


def test_free_objects_stay_free() -> None:
    assert compile_is_valid({"type": "object"}, {"$where": {"deep": [1]}})


def test_nullable() -> None:
    assert compile_is_valid({"type": "string", "nullable": True}, None)
    assert not compile_is_valid({"type": "string"}, None)


def test_what_may_be_null_still_says_which_part_is_at_fault() -> None:
    schema: dict[str, Any] = {
        "type": "array", "items": {"type": "string"}, "nullable": True, "x-empty": "null",
    }  # fmt: skip
    (error,) = jsonschema_rs.validator_for(compile_schema(schema).json_schema).iter_errors(["a", 5])
    assert error.instance_path == [1]
    assert coerced(schema, "") is None
    assert compile_is_valid({"type": "string", "enum": ["a"], "nullable": True}, None)


def test_empty_text_may_mean_null() -> None:
    schema = {"type": "boolean", "nullable": True, "x-empty": "null"}
    assert [coerced(schema, value) for value in ("", None, "yes", "perhaps")] == [None, None, True, "perhaps"]


def test_trimming_comes_before_the_check_for_empty() -> None:
    schema = {"type": "string", "x-normalize": ["trim", "lower"], "x-empty": "absent"}
    assert coerced(schema, "  ") is ABSENT
    assert coerced(schema, " Ada ") == "ada"


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        (1706659200000, datetime(2024, 1, 31, tzinfo=UTC)),
        (False, False),
    ],
)
def test_dates_are_converted(value: Any, date: Any) -> None:
    convert = compile_schema(DATE).convert
    assert convert
    assert convert(coerced(DATE, value)) == date


def test_ids_are_converted_wherever_they_stand() -> None:
    one = {"type": "string", "format": "object-id"}
    schema = {"type": "object", "properties": {"files": {"type": "array", "items": one}, "mailbox": one}}
    convert = compile_schema(schema).convert
    assert convert
    text = "5D48A1F5FD1A4D1BE0D4A1C1"
    assert convert({"files": [text], "mailbox": text}) == {
        "files": [ObjectId(text)],
        "mailbox": ObjectId(text),
    }


def test_what_stands_beside_an_allof_of_one_is_joined_to_it() -> None:
    base = {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}, "id": {}}}
    beside = {"allOf": [{"$ref": "#/Base"}], "description": "words", "properties": {"code": {"enum": ["A"]}}}
    assert inline({"Base": base}, beside) == {
        **base,
        "description": "words",
        "properties": {"code": {"enum": ["A"]}, "id": {}},
    }


@pytest.mark.parametrize("code", [*range(0x20 + 1), 0x7F, 0x85, 0xA0, 0x1680, 0x180E, 0x200B, 0x2028, 0xFEFF])
def test_what_is_cut_is_what_patterns_take_for_blank(code: int) -> None:
    schema = {"type": "string", "x-normalize": ["trim"], "pattern": r"\S"}
    character = chr(code)
    assert (coerced(schema, character) == "") == (not compile_is_valid(schema, character))
