"""Addresses of an account: made, read, changed and deleted."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from handlers.addresses import create_user_address, delete_user_address, update_user_address
from handlers.call import Call
from problems import Problem
from storage.store import Store
from tests.conftest import Client


def add(client: Any, user: str, address: str, **fields: Any) -> Any:
    return client.post(f"/users/{user}/addresses", json={"address": address, **fields})


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
        {"address": "x" * 33 + "*@example.com", "allowWildcard": True},
        {"address": "*@exa_mple.com", "allowWildcard": True},
        {"address": "a..*@example.com", "allowWildcard": True},
        {"address": "a b*@example.com", "allowWildcard": True},
        {"address": "a\u037eb@example.com"},
        {"address": "\u00a0@example.com"},
        {"address": "a@exa\u037emple.com"},
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
    "address", ["*@localhost", "*x.y@example.com", "x*@10.0.0.1", "ro.ot@*", "*" + "x" * 32 + "@b.de"]
)
def test_wildcards_that_can_match(client: Any, ada: str, address: str) -> None:
    assert add(client, ada, address, allowWildcard=True).status_code == 200


@pytest.mark.parametrize(
    "spelling", ["ada@xn--bcher-kva.example", "A.DA@B\u00dcCHER.example", "ada@bu\u0308cher.example"]
)
def test_one_address_in_all_its_spellings(client: Any, ada: str, spelling: str) -> None:
    assert add(client, ada, "ada@b\u00fccher.example").status_code == 200
    assert add(client, ada, spelling).json["code"] == "AddressExistsError"


def test_the_domain_is_known_and_no_domain_of_a_wildcard(client: Any, store: Store, ada: str) -> None:
    for address in ("king@XN--BCHER-KVA.example", "king@*"):
        add(client, ada, address, allowWildcard=True)
    known = {row["domain"] for row in store.databases.users["domaincache"].find()}
    assert known == {"example.com", "b\u00fccher.example"}


# Reading one


@pytest.fixture
def king(client: Any, ada: str) -> str:
    """The path of an address that is not the main one."""
    fields = {"name": "King", "tags": ["b", "A"], "metaData": {"a": 1}, "internalData": {"b": 2}}
    return f"/users/{ada}/addresses/{add(client, ada, 'k.ing@example.com', **fields).json['id']}"


def main_of(client: Any, user: str) -> str:
    return str(client.get(f"/users/{user}").json["address"])


def test_one_address_in_full(client: Any, king: str) -> None:
    shown = client.get(king).json
    assert shown.pop("created")
    assert shown == {
        "success": True, "id": king.rpartition("/")[2], "name": "King", "address": "k.ing@example.com", "main": False,
        "tags": ["A", "b"], "metaData": {"a": 1}, "internalData": {"b": 2},
    }  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_address_of_this_account(
    client: Any, make_user: Any, store: Store, king: str, method: str
) -> None:
    """Unknown ones, those of others and forwarded ones look the same."""
    path, _, own = king.rpartition("/")
    forwarded = client.post("/addresses/forwarded", json={"address": "f@example.com"}).json["id"]
    others = f"/users/{make_user('bob')}/addresses/{own}"
    for wrong in (f"{path}/{ObjectId()}", f"{path}/{forwarded}", others):
        answer = client.request(method, wrong, **({"json": {"name": "x"}} if method == "PUT" else {}))
        assert (answer.status_code, answer.json["code"]) == (404, "AddressNotFound")
    nobody = client.request(method, f"/users/{ObjectId()}/addresses/{own}")
    assert (nobody.status_code, nobody.json["code"]) == (404, "UserNotFound")
    assert store.databases.users["addresses"].count_documents({}) == 4


# Changing one


def test_a_change_of_what_is_given(client: Any, store: Store, king: str) -> None:
    address_id = ObjectId(king.rpartition("/")[2])
    before = store.addresses.by_id(address_id)
    change = {"name": "", "tags": [], "metaData": "{}", "id": "ffffffffffffffffffffffff"}
    assert client.put(king, json=change).json == {"success": True}
    assert store.addresses.by_id(address_id) == {
        **before,
        "name": None,
        "tags": [],
        "tagsview": [],
        "metaData": "{}",
    }
    assert client.put(king, json={}).json == {"success": True}
    assert client.get(king).json["name"] == ""


def test_a_new_name_for_an_address(client: Any, store: Store, ada: str, king: str) -> None:
    assert client.put(king, json={"address": "Queen.A@XN--bcher-kva.example"}).json == {"success": True}
    document = store.addresses.by_id(ObjectId(king.rpartition("/")[2]))
    assert (document["address"], document["addrview"]) == (
        "queen.a@b\u00fccher.example",
        "queena@b\u00fccher.example",
    )
    assert main_of(client, ada) == "ada@example.com"
    assert store.databases.users["domaincache"].count_documents({"domain": "b\u00fccher.example"}) == 1


def test_the_main_address_follows_its_new_name(client: Any, ada: str) -> None:
    (row,) = client.get(f"/users/{ada}/addresses").json["results"]
    path = f"/users/{ada}/addresses/{row['id']}"
    assert client.put(path, json={"address": "A.Da@EXAMPLE.com"}).status_code == 200
    assert (main_of(client, ada), client.get(path).json["main"]) == ("a.da@example.com", True)
    assert client.put(path, json={"address": "Ada@EXAMPLE.org"}).status_code == 200
    assert (main_of(client, ada), client.get(path).json["main"]) == ("ada@example.org", True)


def test_renamed_and_made_the_main_one(client: Any, ada: str, king: str) -> None:
    assert client.put(king, json={"address": "Queen@EXAMPLE.com", "main": "true"}).status_code == 200
    assert main_of(client, ada) == "queen@example.com"
    assert client.get(king).json["main"] is True


def test_the_same_said_in_another_way_changes_nothing(client: Any, store: Store, ada: str, king: str) -> None:
    address_id = ObjectId(king.rpartition("/")[2])
    before = store.addresses.by_id(address_id)
    assert client.put(king, json={"address": "K.ING@Example.COM"}).status_code == 200
    assert store.addresses.by_id(address_id) == before
    wildcard = add(client, ada, "*@example.com", allowWildcard=True).json["id"]
    answer = client.put(
        f"/users/{ada}/addresses/{wildcard}", json={"address": "*@EXAMPLE.com", "name": "All"}
    )
    assert answer.json == {"success": True}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"main": False}, "InputValidationError"),
        ({"address": "a+b@example.com"}, "InputValidationError"),
        ({"address": "king@*"}, "InputValidationError"),
        ({"address": "nobody"}, "InputValidationError"),
        ({"address": None}, "InputValidationError"),
        ({"address": "*@example.com"}, "ChangeNotAllowed"),
        ({"address": "*@example.com", "main": True}, "ChangeNotAllowed"),
        ({"address": "a.da@example.com"}, "AddressExistsError"),
        ({"address": "a.da@example.com", "main": True}, "AddressExistsError"),
    ],
)
def test_changes_that_are_refused(
    client: Any, store: Store, ada: str, king: str, change: dict[str, Any], code: str
) -> None:
    before = list(store.databases.users["addresses"].find())
    answer = client.put(king, json={"name": "new", **change})
    assert (answer.status_code, answer.json["code"]) == (400, code)
    if code == "InputValidationError":
        assert set(answer.json["details"]) == {next(iter(change))}
    assert list(store.databases.users["addresses"].find()) == before
    assert main_of(client, ada) == "ada@example.com"


@pytest.mark.parametrize(
    ("change", "code"),
    [({"main": True}, "WildcardNotPermitted"), ({"address": "x@example.com"}, "ChangeNotAllowed")],
)
def test_what_a_wildcard_is_not_asked(client: Any, ada: str, change: dict[str, Any], code: str) -> None:
    wildcard = add(client, ada, "*@example.com", allowWildcard=True).json["id"]
    answer = client.put(f"/users/{ada}/addresses/{wildcard}", json=change)
    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert main_of(client, ada) == "ada@example.com"


# Deleting one


def test_all_but_the_main_address_can_be_deleted(client: Any, store: Store, ada: str, king: str) -> None:
    assert client.delete(king).json == {"success": True}
    (row,) = store.addresses.of_user(ObjectId(ada))
    refused = client.delete(f"/users/{ada}/addresses/{row['_id']}")
    assert (refused.status_code, refused.json["code"]) == (400, "NotPermitted")
    assert [row["address"] for row in store.addresses.of_user(ObjectId(ada))] == ["ada@example.com"]


def test_a_main_address_always_exists_whatever_happens_at_once(client: Any, store: Store, ada: str) -> None:
    """Made the main one, deleted, renamed and made again by many at once."""
    user, call, refused = ObjectId(ada), Call(store=store), set[str]()

    def one(number: int) -> None:
        rows = [row["_id"] for row in store.addresses.of_user(user)]
        chosen = rows[number % len(rows)]
        try:
            match number % 4:
                case 0:
                    update_user_address(call, user, chosen, {"main": True})
                case 1:
                    delete_user_address(call, user, chosen)
                case 2:
                    update_user_address(call, user, chosen, {"address": f"n{number}@example.com"})
                case _:
                    create_user_address(call, user, {"address": f"c{number}@example.com"})
        except Problem as problem:
            refused.add(problem.code)

    for number in range(8):
        add(client, ada, f"a{number}@example.com")
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(one, range(96)):
            pass
    assert main_of(client, ada) in {row["address"] for row in store.addresses.of_user(user)}
    assert refused <= {"AddressNotFound", "NotPermitted", "AddressExistsError"}


# Rights


def test_a_user_neither_writes_nor_sees_internal_data(
    client: Any, as_role: Any, store: Store, ada: str, king: str
) -> None:
    own = as_role("user", ada)
    assert own.put(king, json={"name": "Mine", "internalData": {"hacked": True}}).json == {"success": True}
    made = own.post(
        "/users/me/addresses", json={"address": "x@example.com", "internalData": {"hacked": True}}
    )
    assert made.status_code == 200
    assert store.addresses.by_id(ObjectId(king.rpartition("/")[2]))["internalData"] == '{"b":2}'
    assert "internalData" not in store.addresses.by_id(ObjectId(made.json["id"]))
    assert "internalData" not in own.get(king).json
    rows = own.get(f"/users/{ada}/addresses?internalData=yes&metaData=yes").json["results"]
    assert [sorted(row.keys() & {"internalData", "metaData"}) for row in rows] == [[], ["metaData"], []]
    assert client.get(king).json["internalData"] == {"b": 2}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_who_has_no_right(app: Any, as_role: Any, make_user: Any, king: str, method: str) -> None:
    body = {"json": {"name": "x"}} if method == "PUT" else {}
    for role, user in (("user", str(make_user("bob"))), ("settings", ""), ("audit", "")):
        answer = as_role(role, user).request(method, king, **body)
        assert (answer.status_code, answer.json["code"]) == (403, "MissingPrivileges")
    forged = Client(app, "0" * 40).request(method, king, **body)
    assert (forged.status_code, forged.json["code"]) == (403, "InvalidToken")
