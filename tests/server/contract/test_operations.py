"""The contract is the program: a server whose handlers do not fit it does not start."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from handlers import users
from server.contract.operations import Contract
from server.http.app import create_app
from server.http.routing import find_handler
from server.settings.table import Settings
from storage.store import Store


@pytest.fixture
def changed(contract: Contract) -> Contract:
    """A contract of its own to change."""
    copy = Contract()
    copy.document = deepcopy(contract.document)
    return copy


def test_every_operation_has_its_function(contract: Contract) -> None:
    assert all(callable(find_handler(operation)) for operation in contract.operations)


def test_an_operation_without_a_function_stops_the_start(
    changed: Contract, settings: Settings, store: Store
) -> None:
    changed.document["paths"]["/users"]["get"]["operationId"] = "getNobody"
    with pytest.raises(AttributeError, match="get_nobody"):
        create_app(settings, store, changed)


def test_a_tag_without_a_module_stops_the_start(changed: Contract, settings: Settings, store: Store) -> None:
    changed.document["paths"]["/users"]["get"]["tags"] = ["Nothing"]
    with pytest.raises(ImportError, match=r"handlers\.nothing"):
        create_app(settings, store, changed)


def test_a_parameter_that_the_function_does_not_take_stops_the_start(
    changed: Contract, settings: Settings, store: Store
) -> None:
    shoe = {"name": "shoeSize", "in": "query", "schema": {"type": "integer"}}
    changed.document["paths"]["/users/resolve/{username}"]["get"]["parameters"].append(shoe)
    with pytest.raises(TypeError, match=r"resolveUser: the handler lacks the arguments \['shoe_size'\]"):
        create_app(settings, store, changed)


def test_a_function_that_is_gone_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, store: Store
) -> None:
    monkeypatch.delattr(users, "get_user")
    with pytest.raises(AttributeError, match="get_user"):
        create_app(settings, store)


def test_routes_are_those_of_the_contract(app: Any, contract: Contract) -> None:
    routes = {
        (method.lower(), rule.rule.replace("<path:", "<").replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.endpoint.removeprefix("/.") in {o.operation_id for o in contract.operations}
    }
    second = {("put", "/users/{user}/mailboxes/{mailbox}/messages/{message}")}
    assert routes == {(o.method, o.path) for o in contract.operations} | second
