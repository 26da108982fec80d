"""Every operation of the contract does something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson import ObjectId
from flask import Flask

from server.contract import Contract
from storage.store import Store
from tests.conftest import Client
from tests.contract.valid_requests import send


def test_none_is_still_to_come(
    app: Flask, store: Store, contract: Contract, make_user: Callable[..., ObjectId]
) -> None:
    make_user("ada")
    auditor = store.tokens.provision("auditor", "audit", secret="a secret cat")
    clients = {None: Client(app), "audit": Client(app, auditor)}
    statuses: dict[str, Any] = {}
    for operation in contract.operations:
        client = clients["audit" if operation.access.resource == "audit" else None]
        user = store.users.by_username("ada") or {"_id": make_user("ada")}
        statuses[operation.operation_id] = send(client, operation, str(user["_id"])).status_code
    assert sorted(name for name, status in statuses.items() if status >= 500) == []
