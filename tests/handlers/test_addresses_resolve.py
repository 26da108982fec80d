"""resolveAddress: who takes mail for an address."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store
from tests.conftest import Client


def resolve(client: Any, address: str, **query: Any) -> Any:
    return client.get(f"/addresses/resolve/{address}", query_string=query)


REGISTERED = [
    "joe.doe@example.com", "joe*@example.com", "*sales@example.com", "*les@example.com", "sal*@example.com",
    "*@example.com", "root@*", "joe@alias.example", "*@alias.example", "info*@alias.example",
    "info@b\u00fccher.example", "*@single", "nobody@*",
]  # fmt: skip
ALIASES = {
    "alias.example": "example.com", "second.example": "alias.example", "other.example": "example.com",
    "xn.example": "b\u00fccher.example", "\u00fcber.example": "example.com",
}  # fmt: skip
CASES = [
    # itself
    ("joe.doe@example.com", "joe.doe@example.com"),
    ("J.oe.Do.e@EXAMPLE.com", "joe.doe@example.com"),
    ("Joe.Doe+x+y@Example.com", "joe.doe@example.com"),
    ("*@example.com", "*@example.com"),
    ("root@*", "root@*"),
    ("info@xn--bcher-kva.example", "info@b\u00fccher.example"),
    ("info@bu\u0308cher.example", "info@b\u00fccher.example"),
    # the same at the domain that its domain is an alias of
    ("joedoe@alias.example", "joe.doe@example.com"),
    ("joe.doe@XN--BER-GOA.example", "joe.doe@example.com"),
    ("info@xn.example", "info@b\u00fccher.example"),
    ("joe@alias.example", "joe@alias.example"),
    # the most specific wildcard; of two as long, that with the beginning
    ("joe.doesnt@example.com", "joe*@example.com"),
    ("joe@example.com", "joe*@example.com"),
    ("xyzsales@example.com", "*sales@example.com"),
    ("miles@example.com", "*les@example.com"),
    ("salt@example.com", "sal*@example.com"),
    ("sal.les@example.com", "sal*@example.com"),
    ("sales@example.com", "*sales@example.com"),
    ("whoever@example.com", "*@example.com"),
    ("+@example.com", "*@example.com"),
    # those of the own domain before those of the aliased one
    ("salt@alias.example", "*@alias.example"),
    ("info7@alias.example", "info*@alias.example"),
    ("salt@other.example", "sal*@example.com"),
    ("whoever@other.example", "*@example.com"),
    # an alias is followed once
    ("salt@second.example", "*@alias.example"),
    ("joedoe@second.example", "*@alias.example"),
    # any domain comes last
    ("root@example.com", "*@example.com"),
    ("root@anywhere.example", "root@*"),
    ("r.oot+x@anywhere.example", "root@*"),
    ("root@sub.example.com", "root@*"),
    ("somebody@anywhere.example", None),
    ("joe.doe@sub.example.com", None),
]


@pytest.fixture
def registered(client: Any, store: Store, ada: str) -> str:
    """An account that has all the addresses."""
    store.databases.users["domainaliases"].insert_many(
        [{"alias": a, "domain": d} for a, d in ALIASES.items()]
    )
    for address in REGISTERED:
        body = {"address": address, "allowWildcard": True}
        assert client.post(f"/users/{ada}/addresses", json=body).status_code == 200
    return ada


def test_who_takes_mail(client: Any, registered: str) -> None:
    found = {
        address: resolve(client, address, allowWildcard=True).json.get("address") for address, _ in CASES
    }
    assert found == dict(CASES)


def test_without_wildcards_the_address_itself_counts(client: Any, registered: str) -> None:
    asked = [address for address, _ in CASES if "*" not in address]
    found = {address: resolve(client, address).json.get("address") for address in asked}
    assert found == {
        address: None if expected and "*" in expected else expected
        for address, expected in CASES
        if address in asked
    } | {"joedoe@second.example": None}


def test_the_parts_that_a_wildcard_covers_are_32_characters_at_most(client: Any, ada: str) -> None:
    for wildcard in ("a" * 32 + "*@example.com", "*@example.com"):
        client.post(f"/users/{ada}/addresses", json={"address": wildcard, "allowWildcard": True})
    assert (
        resolve(client, "a" * 60 + "@example.com", allowWildcard=True).json["address"]
        == "a" * 32 + "*@example.com"
    )
    assert resolve(client, "a" * 31 + "@example.com", allowWildcard=True).json["address"] == "*@example.com"


def test_a_local_part_may_have_slashes(client: Any) -> None:
    """RFC 5322 §3.2.3; clients send them as `%2F`."""
    made = client.post("/addresses/forwarded", json={"address": "g=ada/s=king@example.com"}).json["id"]
    assert resolve(client, "g=ada%2Fs=king%40example.com").json["id"] == made
    assert resolve(client, "g=ada%2Fs=k%40example.com").json["code"] == "AddressNotFound"
    assert client.get("/addresses/resolve/").json["code"] == "ResourceNotFound"


def test_an_address_of_an_account(client: Any, ada: str) -> None:
    shown = resolve(client, "ADA+x@example.com").json
    assert resolve(client, shown["id"]).json == shown
    assert ObjectId(shown.pop("id"))
    assert shown.pop("created")
    assert shown == {"success": True, "name": "", "address": "ada@example.com", "user": ada, "tags": []}


def test_a_forwarded_address(client: Any) -> None:
    body = {"address": "f@example.com", "targets": ["x@y.example"]}
    address = client.post("/addresses/forwarded", json=body).json["id"]
    shown = resolve(client, address).json
    assert shown == client.get(f"/addresses/forwarded/{address}").json
    assert "user" not in shown


def test_unknown_addresses(client: Any) -> None:
    for address in ("nobody@example.com", str(ObjectId())):
        answer = resolve(client, address, allowWildcard=True)
        assert (answer.status_code, answer.json["code"]) == (404, "AddressNotFound")


@pytest.mark.parametrize(
    "address", ["nonsense", "a b@example.com", "@example.com", "a@b@c.example", "0" * 23]
)
def test_what_is_no_address(client: Any, address: str) -> None:
    assert set(resolve(client, address).json["details"]) == {"address"}


def test_it_is_for_operators(app: Any, as_role: Any, ada: str) -> None:
    assert resolve(as_role("webmail"), "ada@example.com").status_code == 200
    assert resolve(as_role("user", ada), "ada@example.com").json["code"] == "MissingPrivileges"
    assert resolve(Client(app, "0" * 40), "ada@example.com").json["code"] == "InvalidToken"
