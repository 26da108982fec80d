"""Ways through the document that its tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from server.contract.operations import Contract
from server.contract.schemas import inline
from storage.base.database import DatabaseNames
from tests.conftest import emptied
from tests.contract.world import World


class Document:
    """The document with its references followed."""

    def __init__(self, contract: Contract) -> None:
        self.raw = contract.document

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(method, path, operation as it is written) of each."""
        for path, item in self.raw["paths"].items():
            for method in item.keys() - {"parameters"}:
                yield method, path, item[method]

    def inline(self, part: Any) -> Any:
        return inline(self.raw, part)

    def answers(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(operationId, status, media type object) of each JSON answer."""
        for _, _, operation in self.operations():
            for status, response in operation["responses"].items():
                media = self.inline(response).get("content", {}).get("application/json")
                if media:
                    yield operation["operationId"], status, media

    def failures(self) -> Iterator[tuple[str, str, str, Any]]:
        """(operationId, status, code, its example or None) of each failure."""
        for operation_id, status, media in self.answers():
            if status != "200":
                examples = media.get("examples", {})
                for code in codes_of(media["schema"]):
                    yield operation_id, status, code, examples.get(code, {}).get("value")


def codes_of(schema: dict[str, Any]) -> list[str]:
    codes: list[str] = schema.get("properties", {}).get("code", {}).get("enum", [])
    return codes


@pytest.fixture(scope="session")
def document(contract: Contract) -> Document:
    """The document."""
    return Document(contract)


@pytest.fixture(scope="module")
def world(mongo: MongoClient[Any], databases: DatabaseNames, contract: Contract) -> Iterator[World]:
    """One application for all tests of a file."""
    with emptied(mongo, databases):
        world = World(mongo, databases, contract)
        yield world
        world.close()
