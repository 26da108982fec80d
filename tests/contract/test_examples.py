"""Every example of a request is sent: what is answered and what is written then stands, whole, in `expected.yaml`.

So no operation is without a test of its answer and of its writing: one that is new, or answers or writes something
else, fails with the lines to read, judge and keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.contract.operations import Contract, examples_of
from tests.contract.masks import masked
from tests.contract.world import Names, Request, World

Outcome = dict[str, Any]

EXPECTED: Mapping[str, list[Outcome]] = yaml.safe_load(
    Path(__file__).with_name("expected.yaml").read_text("utf-8")
)
OPERATIONS = [operation.operation_id for operation in Contract().operations]


def outcome(world: World, request: Request, names: Names) -> Outcome:
    """What is answered and what is written, without what differs from run to run."""
    before = world.disk.keep()
    answer = world.send(request)
    written = world.disk.written_since(before)
    world.disk.restore(before)
    shown: Outcome = {"status": answer.status_code, "written": masked(written, names)}
    if answer.mimetype == "application/json":
        return {**shown, "answer": masked(answer.json, names)}
    text = "" if answer.mimetype == "text/event-stream" else answer.get_data(as_text=True)
    answer.close()
    return {**shown, "type": answer.mimetype, "answer": text.replace("\r\n", "\n")}


def told(name: str, outcomes: list[Outcome]) -> str:
    """As it would stand in the file."""
    return yaml.dump({name: outcomes}, allow_unicode=True, default_flow_style=None, width=120)


def not_shown(answer: Any, examples: list[Any]) -> set[str]:
    """The fields of an answer that none of the examples has at that place."""
    if isinstance(answer, list):
        parts = [part for example in examples if isinstance(example, list) for part in example]
        return set().union(*(not_shown(part, parts) for part in answer)) if parts else set()
    if not isinstance(answer, dict):
        return set()
    dicts = [example for example in examples if isinstance(example, dict)]
    if not dicts:
        return set()
    missing = {name for name in answer if not any(name in example for example in dicts)}
    below = (
        {f"{name}.{field}" for field in not_shown(answer[name], [e[name] for e in dicts if name in e])}
        for name in answer
    )
    return missing.union(*below)


def test_what_is_expected_is_of_operations_that_there_are() -> None:
    assert sorted(EXPECTED) == sorted(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_example_of_an_answer_shows_all_that_the_example_of_the_request_gets(
    world: World, document: Any, name: str
) -> None:
    media = document.inline(world.operations[name].responses["200"])["content"].get("application/json", {})
    for expected in EXPECTED[name]:
        assert not_shown(expected["answer"], examples_of(media)) == set()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_example_is_answered_and_writes_as_expected(world: World, name: str) -> None:
    names = world.furnish(name)
    found = [outcome(world, request, names) for request in world.requests(name, names)]
    assert [one["status"] for one in found] == [200] * len(found), found
    assert found == EXPECTED.get(name), f"not as in expected.yaml:\n{told(name, found)}"
