"""What all operations of two-factor authentication share: tokens, roles, unknown accounts, bad input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.conftest import Client

BY_USERS = [
    ("POST", "/totp/setup", {}),
    ("POST", "/totp/enable", {"token": "123456"}),
    ("DELETE", "/totp", None),
    ("PUT", "/custom", {}),
    ("DELETE", "/custom", None),
    ("DELETE", "", None),
]
CHECK = ("POST", "/totp/check", {"token": "123456"})
NO_RIGHT = ["audit", "auth", "settings", "tokenAuth"]

Operation = tuple[str, str, dict[str, Any] | None]
all_operations = pytest.mark.parametrize("operation", [*BY_USERS, CHECK], ids=lambda o: f"{o[0]} {o[1]}")
by_users = pytest.mark.parametrize("operation", BY_USERS, ids=lambda o: f"{o[0]} {o[1]}")


def send(client: Client, user: str, operation: Operation, **fields: Any) -> Any:
    method, path, body = operation
    if body is None:
        return client.request(method, f"/users/{user}/2fa{path}", query_string=fields)
    return client.request(method, f"/users/{user}/2fa{path}", json={**body, **fields})


@all_operations
def test_no_token(make_app: Callable[..., Flask], ada: str, operation: Operation) -> None:
    answer = send(Client(make_app(access_control=True)), ada, operation)
    assert (answer.status_code, answer.json["code"]) == (403, "InvalidToken")


@by_users
@pytest.mark.parametrize("role", NO_RIGHT)
def test_roles_without_the_right(as_role: Any, ada: str, operation: Operation, role: str) -> None:
    answer = send(as_role(role), ada, operation)
    assert (answer.status_code, answer.json["code"]) == (403, "MissingPrivileges")


@pytest.mark.parametrize("role", ["audit", "downloader", "settings"])
def test_roles_that_may_not_check(as_role: Any, ada: str, role: str) -> None:
    answer = send(as_role(role), ada, CHECK)
    assert (answer.status_code, answer.json["code"]) == (403, "MissingPrivileges")


@pytest.mark.parametrize("role", ["root", "manager", "webmail", "auth", "tokenAuth"])
def test_roles_that_may_check(as_role: Any, ada: str, role: str) -> None:
    assert send(as_role(role), ada, CHECK).json["code"] == "TotpDisabled"


@all_operations
def test_the_account_of_somebody_else(as_user: Any, ada: str, make_user: Any, operation: Operation) -> None:
    answer = send(as_user(ada), str(make_user("bob")), operation)
    assert (answer.status_code, answer.json["code"]) == (403, "MissingPrivileges")
    assert send(as_user(ada), "me", operation).json.get("code") != "MissingPrivileges"


@all_operations
def test_an_unknown_account(client: Client, operation: Operation, store: Any) -> None:
    answer = send(client, "5d48a1f5fd1a4d1be0d4a1c1", operation)
    assert (answer.status_code, answer.json["code"]) == (404, "UserNotFound")
    assert store.databases.users["authlog"].count_documents({}) == 0


@all_operations
@pytest.mark.parametrize(
    "fields",
    [{"ip": "1.2.3"}, {"sess": ""}, {"sess": "x" * 256}, {"what": "x"}, {"ip": "1.2.3.4/8", "sess": ""}],
)
def test_bad_labels(client: Client, ada: str, operation: Operation, fields: dict[str, Any]) -> None:
    answer = send(client, ada, operation, **fields)
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError")
    assert set(answer.json["details"]) == set(fields)


@all_operations
def test_a_bad_id(client: Client, operation: Operation) -> None:
    assert set(send(client, "ada", operation).json["details"]) == {"user"}


@pytest.mark.parametrize("path", ["/totp/enable", "/totp/check"])
@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({}, {"token"}),
        ({"token": ""}, {"token"}),
        ({"token": "12345"}, {"token"}),
        ({"token": "1234567"}, {"token"}),
        ({"token": 123456}, {"token"}),
        ({"token": None}, {"token"}),
        ({"token": ["123456"]}, {"token"}),
        ({"token": {"$gt": ""}}, {"token"}),
    ],
)
def test_bad_codes(client: Client, ada: str, path: str, body: dict[str, Any], at_fault: set[str]) -> None:
    answer = client.post(f"/users/{ada}/2fa{path}", json=body)
    assert (answer.status_code, set(answer.json["details"])) == (400, at_fault)


@pytest.mark.parametrize("nonce", ["", "0" * 39, "0" * 41, "g" * 40, 1, {"$ne": ""}, None])
def test_bad_nonces(client: Client, ada: str, nonce: Any) -> None:
    answer = send(client, ada, CHECK, totpNonce=nonce)
    assert (answer.status_code, set(answer.json["details"])) == (400, {"totpNonce"})


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({"label": "x" * 256}, {"label"}),
        ({"issuer": "x" * 256, "label": 5}, {"issuer", "label"}),
        ({"label": None}, {"label"}),
        ({"existingPassword": ""}, {"existingPassword"}),
    ],
)
def test_bad_set_ups(client: Client, ada: str, body: dict[str, Any], at_fault: set[str], store: Any) -> None:
    answer = client.post(f"/users/{ada}/2fa/totp/setup", json=body)
    assert (answer.status_code, set(answer.json["details"])) == (400, at_fault)
    assert store.databases.users["users"].count_documents({"pendingSeed": ""}) == 1
