"""renameDomain."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store
from tests.conftest import Client


def rename(client: Any, old: str = "example.com", new: str = "example.org") -> Any:
    return client.put("/addresses/renameDomain", json={"oldDomain": old, "newDomain": new})


@pytest.fixture
def peopled(client: Any, store: Store, ada: str) -> str:
    """An account with a domain that has all there is."""
    for address in (
        "a.king@example.com",
        "*@example.com",
        "ada@sub.example.com",
        "ada@notexample.com",
        "ada@*",
    ):
        client.post(f"/users/{ada}/addresses", json={"address": address, "allowWildcard": True})
    client.post("/addresses/forwarded", json={"address": "f@example.com", "targets": ["x@example.com"]})
    aliases = [
        ("alias.example", "example.com"),
        ("example.org", "example.com"),
        ("example.com", "far.example"),
    ]
    store.databases.users["domainaliases"].insert_many([{"alias": a, "domain": d} for a, d in aliases])
    store.databases.main["dkim"].insert_one({"domain": "example.com"})
    return ada


def all_addresses(store: Store) -> set[tuple[str, str]]:
    return {(row["address"], row["addrview"]) for row in store.databases.users["addresses"].find()}


def test_a_domain_is_renamed_wherever_it_stands(client: Any, store: Store, peopled: str) -> None:
    answer = rename(client, "EXAMPLE.com", "XN--bcher-kva.example").json
    assert answer == {
        "success": True, "modifiedAddresses": 4, "modifiedUsers": 1, "modifiedDkim": 1, "modifiedAliases": 2,
    }  # fmt: skip
    assert all_addresses(store) == {
        ("ada@bücher.example", "ada@bücher.example"), ("a.king@bücher.example", "aking@bücher.example"),
        ("*@bücher.example", "*@bücher.example"), ("f@bücher.example", "f@bücher.example"), ("ada@*", "ada@*"),
        ("ada@sub.example.com", "ada@sub.example.com"), ("ada@notexample.com", "ada@notexample.com"),
    }  # fmt: skip
    assert client.get(f"/users/{peopled}").json["address"] == "ada@bücher.example"
    assert store.databases.main["dkim"].count_documents({"domain": "bücher.example"}) == 1
    assert store.databases.users["domaincache"].count_documents({"domain": "bücher.example"}) == 1
    aliases = {row["alias"]: row["domain"] for row in store.databases.users["domainaliases"].find()}
    assert aliases == {
        "alias.example": "bücher.example",
        "example.org": "bücher.example",
        "example.com": "far.example",
    }
    forwarded = store.databases.users["addresses"].find_one({"addrview": "f@bücher.example"})
    assert [target["value"] for target in forwarded["targets"]] == ["x@example.com"]


def test_a_call_that_is_repeated_finds_nothing(client: Any, store: Store, peopled: str) -> None:
    rename(client)
    before = all_addresses(store)
    assert rename(client).json == {
        "success": True, "modifiedAddresses": 0, "modifiedUsers": 0, "modifiedDkim": 0, "modifiedAliases": 0,
    }  # fmt: skip
    assert all_addresses(store) == before


def test_an_alias_that_has_become_the_domain_ends(client: Any, store: Store, peopled: str) -> None:
    assert rename(client, new="example.org").json["modifiedAliases"] == 2
    aliases = {row["alias"]: row["domain"] for row in store.databases.users["domainaliases"].find()}
    assert aliases == {"alias.example": "example.org", "example.com": "far.example"}
    assert client.get("/addresses/resolve/aking@alias.example").json["address"] == "a.king@example.org"


def test_nothing_changes_where_an_address_is_taken(client: Any, store: Store, peopled: str) -> None:
    client.post(f"/users/{peopled}/addresses", json={"address": "ak.ing@example.org"})
    before = all_addresses(store)
    answer = rename(client)
    assert (answer.status_code, answer.json["code"]) == (400, "AddressExistsError")
    assert all_addresses(store) == before
    assert client.get(f"/users/{peopled}").json["address"] == "ada@example.com"
    assert store.databases.main["dkim"].count_documents({"domain": "example.com"}) == 1
    assert store.databases.users["domainaliases"].count_documents({"domain": "example.com"}) == 2


def test_a_key_that_the_new_domain_has_stays(client: Any, store: Store, peopled: str) -> None:
    keys = store.databases.main["dkim"]
    own = keys.insert_one({"domain": "example.org"}).inserted_id
    answer = rename(client).json
    assert (answer["modifiedAddresses"], answer["modifiedDkim"]) == (4, 0)
    assert {row["domain"]: row["_id"] == own for row in keys.find()} == {
        "example.com": False,
        "example.org": True,
    }


@pytest.mark.parametrize(
    ("old", "new", "at_fault"),
    [
        ("*", "example.org", {"oldDomain"}),
        ("example.com", "*", {"newDomain"}),
        ("a b", "@x", {"oldDomain", "newDomain"}),
        ("", None, {"oldDomain", "newDomain"}),
        ("bücher.example", "XN--bcher-kva.example", {"newDomain"}),
        ("example.com", "Example.COM", {"newDomain"}),
    ],
)
def test_bad_input_names_the_fields(client: Any, old: Any, new: Any, at_fault: set[str]) -> None:
    answer = rename(client, old, new)
    assert (answer.status_code, set(answer.json["details"])) == (400, at_fault)


def test_a_dot_is_a_dot(client: Any, store: Store, ada: str) -> None:
    client.post(f"/users/{ada}/addresses", json={"address": "x@example-com.example"})
    assert rename(client, "example.com.example", "other.example").json["modifiedAddresses"] == 0


def test_it_is_for_operators(app: Any, as_role: Any, ada: str) -> None:
    assert rename(as_role("user", ada)).json["code"] == "MissingPrivileges"
    assert rename(as_role("settings")).json["code"] == "MissingPrivileges"
    assert rename(Client(app, "0" * 40)).json["code"] == "InvalidToken"
    assert rename(as_role("manager")).json["modifiedUsers"] == 1


def test_a_main_address_in_another_form_is_left(client: Any, store: Store, ada: str) -> None:
    store.databases.users["users"].update_one(
        {"_id": ObjectId(ada)}, {"$set": {"address": "a.da@example.com"}}
    )
    assert rename(client).json["modifiedUsers"] == 0
