"""NUL is a character like another: every text of a query may hold it, and no pattern of the database breaks on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson import ObjectId
from flask import Flask

from server.contract.operations import Contract, Operation
from storage.store import Store
from tests.conftest import Client
from tests.contract.valid_requests import send

TEXT = "a\0b"


def test_no_search_breaks_on_it(
    app: Flask, store: Store, contract: Contract, make_user: Callable[..., ObjectId]
) -> None:
    user = str(make_user("ada"))
    clients = {
        "audit": Client(app, store.tokens.provision("auditor", "audit", secret="a secret cat")),
        None: Client(app),
    }
    asked = []
    for operation in contract.operations:
        for name in texts(operation):
            client = clients["audit" if operation.access.resource == "audit" else None]
            answer: Any = send(client, operation, user, query={name: TEXT})
            assert answer.status_code < 500, f"{operation.operation_id} {name}"
            asked.append((operation.operation_id, name))
    assert ("getUsers", "query") in asked
    assert len(asked) > 60


def texts(operation: Operation) -> list[str]:
    """The parameters of a query whose text is free but for its length."""
    limits = {"format", "enum", "pattern"}
    return [
        parameter["name"]
        for parameter in operation.parameters
        if parameter["in"] == "query"
        and operation.method == "get"
        and parameter["schema"].get("type") == "string"
        and not limits & parameter["schema"].keys()
    ]
