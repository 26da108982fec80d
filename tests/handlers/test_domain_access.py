"""createAllowedDomain, getAllowedDomain, createBlockedDomain, getBlockedDomain, deleteDomainListing."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from storage.store import Store
from tests.conftest import Client


def put(client: Any, domain: str, action: str = "allow", tag: str = "Staff") -> Any:
    return client.post(f"/domainaccess/{tag}/{action}", json={"domain": domain})


def listed(client: Any, action: str, tag: str = "staff") -> list[str]:
    return [row["domain"] for row in client.get(f"/domainaccess/{tag}/{action}").json["results"]]


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def test_a_tag_may_have_slashes(client: Any) -> None:
    assert put(client, "a.example", tag="team%2Fnorth%2F1").status_code == 200
    assert put(client, "b.example", tag="team").status_code == 200
    assert (listed(client, "allow", "Team%2FNorth%2F1"), listed(client, "block", "team%2Fnorth%2F1")) == (
        ["a.example"],
        [],
    )
    assert client.get("/domainaccess/team/allow/").status_code == 404


@pytest.mark.parametrize("action", ["allow", "block"])
def test_an_entry_is_made_and_listed(client: Any, store: Store, action: str) -> None:
    answer = put(client, " XN--MNCHEN-3YA.example ", action)
    row = store.databases.main["domainaccess"].find_one()
    assert row
    entry = str(row.pop("_id"))
    assert answer.json == {"success": True, "id": entry}
    assert row == {"tag": "Staff", "tagview": "staff", "domain": "münchen.example", "action": action}
    assert client.get(f"/domainaccess/STAFF/{action}").json == {
        "success": True,
        "results": [{"id": entry, "domain": "münchen.example", "action": action}],
    }


def test_lists_are_sorted_and_apart(client: Any) -> None:
    for domain, action, tag in (
        ("b.example", "allow", "staff"), ("a.example", "allow", "Staff"), ("c.example", "block", "staff"),
        ("d.example", "allow", "guests"),
    ):  # fmt: skip
        assert put(client, domain, action, tag).status_code == 200
    assert listed(client, "allow") == ["a.example", "b.example"]
    assert listed(client, "block") == ["c.example"]
    assert listed(client, "block", "guests") == []
    assert listed(client, "allow", "nobody") == []


def test_a_domain_stands_on_one_list_once(client: Any, store: Store) -> None:
    entry = put(client, "example.com").json["id"]
    for action in ("allow", "block", "block"):
        assert put(client, "EXAMPLE.com", action, "STAFF").json["id"] == entry
    assert (listed(client, "allow"), listed(client, "block")) == ([], ["example.com"])
    row = store.databases.main["domainaccess"].find_one()
    assert row
    assert row["tag"] == "Staff"


@pytest.mark.parametrize("tag", ["a b", "$ne", ".*", "Ünïcode", "x" * 128])
def test_a_tag_is_any_text(client: Any, tag: str) -> None:
    assert put(client, "example.com", tag=tag).status_code == 200
    assert listed(client, "allow", tag.upper()) == ["example.com"]
    assert listed(client, "allow", "other") == []


@pytest.mark.parametrize("action", ["allow", "block"])
@pytest.mark.parametrize(
    ("tag", "fields", "at_fault"),
    [
        ("staff", {}, {"domain"}),
        ("staff", {"domain": ""}, {"domain"}),
        ("staff", {"domain": "ada@example.com"}, {"domain"}),
        ("staff", {"domain": "*"}, {"domain"}),
        ("staff", {"domain": "a b"}, {"domain"}),
        ("staff", {"domain": {"$gt": ""}}, {"domain"}),
        ("staff", {"domain": ["example.com"]}, {"domain"}),
        ("x" * 129, {"domain": "example.com", "foo": 1}, {"tag", "foo"}),
        ("%20", {"domain": 5}, {"tag", "domain"}),
    ],
)
def test_bad_input_names_the_fields_and_stores_nothing(
    client: Any, store: Store, action: str, tag: str, fields: dict[str, Any], at_fault: set[str]
) -> None:
    assert details(client.post(f"/domainaccess/{tag}/{action}", json=fields)) == at_fault
    assert store.databases.main["domainaccess"].count_documents({}) == 0


def test_bad_listing_input(client: Any) -> None:
    assert details(client.get(f"/domainaccess/{'x' * 129}/allow?foo=1")) == {"tag", "foo"}


@pytest.mark.parametrize("action", ["allow", "block"])
def test_a_deleted_entry_is_gone(client: Any, action: str) -> None:
    entry = put(client, "example.com", action).json["id"]
    put(client, "example.org", action)
    assert client.delete(f"/domainaccess/{entry}").json == {"success": True, "deleted": entry}
    assert listed(client, action) == ["example.org"]
    assert refusal(client.delete(f"/domainaccess/{entry}")) == (404, "DomainNotFound")


def test_an_entry_is_deleted_by_its_id_alone(client: Any) -> None:
    put(client, "example.com")
    assert details(client.delete("/domainaccess/example.com")) == {"domain"}
    assert listed(client, "allow") == ["example.com"]


OPERATIONS = [
    *(
        ("POST", f"/domainaccess/staff/{action}", {"json": {"domain": "example.com"}})
        for action in ("allow", "block")
    ),
    *(("GET", f"/domainaccess/staff/{action}", {}) for action in ("allow", "block")),
    ("DELETE", "/domainaccess/5d48a1f5fd1a4d1be0d4a1c1", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), OPERATIONS)
def test_who_may_not(app: Flask, store: Store, method: str, path: str, options: dict[str, Any]) -> None:
    forged = Client(app, "0" * 40).request(method, path, **options)
    assert refusal(forged) == (403, "InvalidToken")
    token = store.tokens.provision("settings", "settings", secret="a secret cat")
    assert refusal(Client(app, token).request(method, path, **options)) == (403, "MissingPrivileges")
    assert store.databases.main["domainaccess"].count_documents({}) == 0
