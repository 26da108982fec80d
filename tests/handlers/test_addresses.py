"""createUserAddress, getUserAddresses, resolveAddress."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from handlers.addresses import create_user_address
from handlers.call import Call
from problems import Problem
from storage.store import Store


def add(client: Any, user: str, address: str, **fields: Any) -> Any:
    return client.post(f"/users/{user}/addresses", json={"address": address, **fields})


def resolve(client: Any, address: str, **query: Any) -> Any:
    return client.get(f"/addresses/resolve/{address}", query_string=query)


def test_an_address_is_added(client: Any, store: Store, ada: str) -> None:
    answer = add(client, ada, "A.King@Bücher.example", name=" Ada King ", tags=["x"], metaData={"a": 1})
    document = store.addresses.by_id(ObjectId(answer.json["id"]))
    assert (document["address"], document["addrview"]) == ("a.king@bücher.example", "aking@bücher.example")
    assert document["metaData"] == '{"a":1}'
    rows = client.get(f"/users/{ada}/addresses", query_string={"metaData": True}).json["results"]
    assert [(row["address"], row["main"]) for row in rows] == [
        ("ada@example.com", True),
        ("a.king@bücher.example", False),
    ]
    assert rows[1]["name"] == "Ada King"
    assert rows[1]["metaData"] == {"a": 1}
    assert rows[0]["name"] == ""


def test_the_main_address(client: Any, ada: str) -> None:
    add(client, ada, "king@example.com", main=True)
    rows = client.get(f"/users/{ada}/addresses").json["results"]
    assert {row["address"]: row["main"] for row in rows} == {
        "ada@example.com": False,
        "king@example.com": True,
    }


def test_a_wildcard_never_becomes_the_main_address(client: Any) -> None:
    user = client.post("/users", json={"username": "x", "password": "", "emptyAddress": True}).json["id"]
    assert add(client, user, "*@example.net", allowWildcard=True).status_code == 200
    assert client.get(f"/users/{user}").json["address"] == ""
    add(client, user, "x@example.net")
    assert client.get(f"/users/{user}").json["address"] == "x@example.net"


@pytest.mark.parametrize(
    "fields",
    [
        {"address": "nobody"},
        {"address": "a+b@example.com"},
        {"address": "*@example.com"},
        {"address": "a*b@example.com", "allowWildcard": True},
        {"address": "**@example.com", "allowWildcard": True},
        {"address": "*@*", "allowWildcard": True},
        {"address": "*" + "x" * 33 + "@example.com", "allowWildcard": True},
        {"address": ""},
    ],
)
def test_what_is_no_address_of_an_account(
    client: Any, store: Store, ada: str, fields: dict[str, Any]
) -> None:
    answer = client.post(f"/users/{ada}/addresses", json=fields)
    assert (answer.status_code, set(answer.json["details"])) == (400, {"address"})
    assert len(store.addresses.of_user(ObjectId(ada))) == 1


def test_a_wildcard_is_not_asked_to_be_main(client: Any, ada: str) -> None:
    answer = add(client, ada, "*@example.com", allowWildcard=True, main=True)
    assert set(answer.json["details"]) == {"main"}


def test_taken_addresses_and_unknown_accounts(client: Any, ada: str) -> None:
    taken = add(client, ada, "a.da@example.com")
    assert (taken.status_code, taken.json["code"]) == (400, "AddressExistsError")
    unknown = add(client, str(ObjectId()), "x@example.com")
    assert (unknown.status_code, unknown.json["code"]) == (404, "UserNotFound")
    assert client.get(f"/users/{ObjectId()}/addresses").json["code"] == "UserNotFound"


def test_50_at_once_make_one_address(store: Store, ada: str) -> None:
    def one(_: int) -> str:
        try:
            create_user_address(
                call=Call(store=store), user=ObjectId(ada), body={"address": "new@example.com"}
            )
        except Problem as problem:
            return problem.code
        return "made"

    with ThreadPoolExecutor(16) as pool:
        assert Counter(pool.map(one, range(50))) == {"made": 1, "AddressExistsError": 49}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("Joe.Doe+x@Example.com", "joe.doe@example.com"),
        ("joedoe@alias.example", "joe.doe@example.com"),
        ("joe.doesnt@example.com", "joe*@example.com"),
        ("xyzsales@example.com", "*sales@example.com"),
        ("whoever@example.com", "*@example.com"),
        ("whoever@alias.example", "*@example.com"),
        ("root@anywhere.example", "root@*"),
    ],
)
def test_who_takes_mail(client: Any, store: Store, ada: str, address: str, expected: str) -> None:
    store.databases.users["domainaliases"].insert_one({"alias": "alias.example", "domain": "example.com"})
    for registered in (
        "joe.doe@example.com",
        "joe*@example.com",
        "*sales@example.com",
        "*@example.com",
        "root@*",
    ):
        assert add(client, ada, registered, allowWildcard=True).status_code == 200
    found = resolve(client, address, allowWildcard=True)
    assert found.json["address"] == expected
    assert found.json["user"] == ada
    exact = resolve(client, address)
    assert exact.status_code == (404 if "*" in expected else 200)


def test_a_forwarded_address(client: Any, store: Store) -> None:
    document = {
        "address": "f@example.com", "addrview": "f@example.com", "targets": [{"type": "mail", "value": "x@y.example"}],
        "created": store.clock(), "forwards": 0, "name": None,
    }  # fmt: skip
    address = store.databases.users["addresses"].insert_one(document).inserted_id
    found = resolve(client, str(address)).json
    assert "user" not in found
    assert found["targets"] == ["x@y.example"]
    assert found["limits"]["forwards"] == {"allowed": 2000, "used": 0, "ttl": False}
    assert found["autoreply"]["status"] is False


def test_unknown_addresses(client: Any) -> None:
    for address in ("nobody@example.com", str(ObjectId())):
        answer = resolve(client, address, allowWildcard=True)
        assert (answer.status_code, answer.json["code"]) == (404, "AddressNotFound")
    assert set(resolve(client, "nonsense").json["details"]) == {"address"}
