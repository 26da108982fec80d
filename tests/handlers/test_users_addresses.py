"""createUser: what address an account starts with, and what it is told where one cannot be had."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.conftest import PASSWORD


def create(client: Any, username: str, **fields: Any) -> Any:
    return client.post("/users", json={"username": username, "password": PASSWORD, **fields})


@pytest.mark.parametrize(
    ("username", "address"),
    [
        ("ada@example.org", "ada@example.org"),
        ("ada@intranet", "ada@intranet"),
        ("ada", f"ada@{socket.gethostname()}"),
        ("ada@no_host", f"ada@{socket.gethostname()}"),
        ("ada@-b-", f"ada@{socket.gethostname()}"),
    ],
)
def test_the_one_that_the_user_name_makes(client: Any, username: str, address: str) -> None:
    user = create(client, username).json["id"]
    assert client.get(f"/users/{user}").json["address"] == address.lower()


@pytest.mark.parametrize(
    ("username", "fields"),
    [
        ("a:b", {}),
        ("a:b@example.org", {}),
        ("ada", {"address": "+label@example.com"}),
        ("ada", {"address": "a\u037eda@example.com"}),
    ],
    ids=["no address", "nor with a host", "nothing but a label", "a semicolon once it is normalized"],
)
def test_none_that_is_no_address(client: Any, username: str, fields: dict[str, Any]) -> None:
    answer = create(client, username, **fields)
    assert (answer.status_code, set(answer.json["details"])) == (400, {"address"})
    assert create(client, username, emptyAddress=True).status_code == 200


@pytest.mark.parametrize(
    ("username", "address", "code"),
    [("a.da", "new@example.com", "UserExistsError"), ("new", "a.da@example.com", "AddressExistsError")],
)
def test_whose_name_is_taken_is_told(client: Any, ada: str, username: str, address: str, code: str) -> None:
    answer = create(client, username, address=address)
    assert (answer.status_code, answer.json["code"], answer.json["username"]) == (400, code, username)
