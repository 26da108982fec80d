"""`docs/api/`: made of the contract, whole, and in words that are right."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from server.contract.operations import Contract
from server.pages.field_words import Row, code, kind, row, rows
from server.pages.reference import LABELS, Described, pages, write

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def made(contract: Contract) -> dict[str, str]:
    return pages(contract)


def test_the_committed_pages_are_current(made: dict[str, str]) -> None:
    """`make docs` writes them."""
    files = {file.name: file.read_text("utf-8") for file in (ROOT / "docs" / "api").iterdir()}
    assert files.keys() == made.keys()
    assert [name for name in made if files[name] != made[name]] == []


def test_they_are_written_where_one_says(tmp_path: Path, made: dict[str, str]) -> None:
    write(tmp_path / "api")
    assert {file.name: file.read_text("utf-8") for file in (tmp_path / "api").iterdir()} == made


def test_each_operation_stands_on_the_page_of_its_tag(contract: Contract, made: dict[str, str]) -> None:
    for operation in contract.operations:
        line = f"`{operation.method.upper()} {operation.path}` · operationId `{operation.operation_id}`"
        assert [name for name, page in made.items() if line in page] == [f"{operation.tag.lower()}.md"]
        assert f"`{operation.operation_id}`" in made["README.md"]


def test_nothing_of_an_operation_is_missing(contract: Contract, made: dict[str, str]) -> None:
    document = contract.document
    for operation in contract.operations:
        raw = document["paths"][operation.path][operation.method]
        page = made[f"{operation.tag.lower()}.md"]
        section = page.split(f"\n## {raw['summary']}\n")[1].split("\n## ")[0]
        taken = {p["name"] for p in operation.parameters} | operation.body_properties.keys()
        codes = {found for _, found, _ in Described(operation, raw, document).errors}
        assert taken >= set(LABELS), "the pages say once that every operation takes them"
        for name in (taken - set(LABELS)) | codes | set(raw.get("x-events", ())):
            assert f"`{name}`" in section, (operation.operation_id, name)


def test_the_example_can_be_pasted(contract: Contract) -> None:
    for operation in contract.operations:
        raw = contract.document["paths"][operation.path][operation.method]
        curl, *words = shlex.split(Described(operation, raw, contract.document).curl)
        method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
        assert (curl, method) == ("curl", operation.method.upper())
        assert not re.search(r"[{} ]|None", next(word for word in words if word.startswith("$API")))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "minLength": 1}, "text, not empty"),
        ({"type": "string", "maxLength": 9, "pattern": "^a|b$"}, "text, at most 9 characters, like `^a|b$`"),
        ({"type": "string", "format": "object-id", "pattern": "^[0-9a-fA-F]{24}$"}, "id"),
        ({"type": "integer", "minimum": 1, "maximum": 250}, "whole number, 1 to 250"),
        ({"type": "integer", "minimum": 0, "nullable": True}, "whole number, at least 0 or `null`"),
        ({"type": "boolean", "enum": [False]}, "`false`"),
        ({"type": "string", "enum": ["a", ""]}, '`a`, `""`'),
        ({"type": "string", "enum": ["a", None], "nullable": True}, "`a`, `null`"),
        ({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}, "text, number or boolean"),
        ({"type": "integer", "minimum": 1, "maximum": 2**53 - 1}, "whole number, at least 1"),
        ({"type": "array", "maxItems": 3, "items": {"type": "string"}}, "list of at most 3: text"),
        ({"type": "array", "items": {"type": "object"}}, "list of object"),
        ({"x-type": "date", "anyOf": [{"type": "string"}]}, "date or milliseconds since 1970"),
        (
            {"x-type": "date", "anyOf": [{"type": "string"}, {"type": "boolean", "enum": [False]}]},
            "date, milliseconds since 1970 or `false`",
        ),
        ({}, "anything"),
    ],
)
def test_a_schema_in_words(schema: dict[str, Any], words: str) -> None:
    assert kind(schema) == words


def test_parts_of_a_field_follow_it() -> None:
    person = {"type": "object", "required": ["address"], "properties": {"address": {"type": "string"}}}
    schema = {
        "properties": {
            "to": {"type": "array", "items": person},
            "from": {"anyOf": [person, {"type": "boolean"}]},
        }
    }
    assert list(rows(schema)) == [
        Row("to", "list of object", ""),
        Row("to[].address", "text", "", required=True),
        Row("from", "object or boolean", ""),
        Row("from.address", "text", "", required=True),
    ]


def test_a_default_and_what_is_deprecated() -> None:
    schema = {"type": "string", "default": "", "deprecated": True, "description": "Old\nname."}
    assert row("old", schema, required=False).text == 'Deprecated. Old name. Default `""`.'
    parameter = row("old", schema, required=False, description="Of the parameter.")
    assert parameter.text == 'Deprecated. Of the parameter. Default `""`.'
    assert code("a`b") == "``a`b``"
