"""getUserAddressregister."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store
from tests.conftest import Client

NEWEST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def register(store: Store, ada: str) -> str:
    """The path of a register with entries, those named first the last used."""
    rows: list[dict[str, Any]] = [
        {"address": "grace@example.com", "name": "Grace Hopper", "disabled": False},
        {"address": "alan@bücher.example", "disabled": False},
        {"address": "hidden@example.com", "name": "Grace Hidden", "disabled": True},
        {"address": "old@example.org", "name": "=?utf-8?q?Gr=C3=A4ce?="},
        {"address": "hopper@example.net", "name": "Anne Grace", "disabled": False},
    ]
    for age, row in enumerate(rows):
        row.update(user=ObjectId(ada), addrview=row["address"], updated=NEWEST - timedelta(days=age))
    other = {**rows[0], "user": ObjectId()}
    store.databases.main["addressregister"].insert_many([*reversed(rows), other])
    return f"/users/{ada}/addressregister"


def test_an_entry_in_full(client: Any, register: str) -> None:
    answer = client.get(register, query_string={"query": "grace"}).json
    assert ObjectId(answer["results"][0].pop("id"))
    assert answer == {"success": True, "results": [{"name": "Grace Hopper", "address": "grace@example.com"}]}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("example", ["grace@example.com", "alan@bücher.example", "old@example.org", "hopper@example.net"]),
        (" GRACE ", ["grace@example.com"]),
        ("hopper", ["hopper@example.net"]),
        ("anne g", ["hopper@example.net"]),
        ("@EXAMPLE.com", ["grace@example.com"]),
        ("XN--bcher-kva", ["alan@bücher.example"]),
        ("alan@xn--bcher-kva.example", ["alan@bücher.example"]),
        ("hidden", []),
        ("grac.", []),
        (".*", []),
    ],
)
def test_what_is_found(client: Any, register: str, query: str, expected: list[str]) -> None:
    answer = client.get(register, query_string={"query": query}).json
    assert [row["address"] for row in answer["results"]] == expected


def test_the_last_used_and_a_decoded_name(client: Any, register: str) -> None:
    rows = client.get(register, query_string={"query": "old", "limit": 1}).json["results"]
    assert [(row["address"], row["name"]) for row in rows] == [("old@example.org", "Gräce")]
    rows = client.get(register, query_string={"query": "example", "limit": 2}).json["results"]
    assert [row.get("name") for row in rows] == ["Grace Hopper", None]


@pytest.mark.parametrize(
    ("query", "at_fault"),
    [({}, {"query"}), ({"query": " "}, {"query"}), ({"query": "x" * 256}, {"query"}),
     ({"query": "x", "limit": 251, "foo": 1}, {"limit", "foo"})],
)  # fmt: skip
def test_bad_input_names_the_fields(
    client: Any, register: str, query: dict[str, Any], at_fault: set[str]
) -> None:
    answer = client.get(register, query_string=query)
    assert (answer.status_code, set(answer.json["details"])) == (400, at_fault)


def test_for_whom(app: Any, client: Any, as_role: Any, make_user: Any, ada: str, register: str) -> None:
    path = f"{register}?query=x"
    assert as_role("user", ada).get("/users/me/addressregister?query=grace").json["results"]
    assert as_role("user", str(make_user("bob"))).get(path).json["code"] == "MissingPrivileges"
    assert Client(app, "0" * 40).get(path).json["code"] == "InvalidToken"
    unknown = client.get(f"/users/{ObjectId()}/addressregister?query=x")
    assert (unknown.status_code, unknown.json["code"]) == (404, "UserNotFound")
