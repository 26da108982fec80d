"""getDomainAliases, createDomainAlias, resolveDomainAlias, getDomainAlias, deleteDomainAlias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask

from storage.store import Store
from tests.conftest import PASSWORD, Client

ALIAS = {"alias": "example.org", "domain": "example.com"}


def create(client: Any, alias: str = "example.org", domain: str = "example.com") -> Any:
    return client.post("/domainaliases", json={"alias": alias, "domain": domain})


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def test_an_alias_is_made(client: Any, store: Store) -> None:
    answer = create(client, " München.Example ", "XN--BCHER-KVA.example")
    row = store.databases.users["domainaliases"].find_one()
    assert row
    assert answer.json == {"success": True, "id": str(row["_id"])}
    assert row == {
        "_id": row["_id"], "alias": "münchen.example", "domain": "bücher.example", "created": row["created"],
    }  # fmt: skip
    known = store.databases.users["domaincache"].distinct("domain")
    assert set(known) == {"münchen.example", "bücher.example"}


def test_what_an_alias_shows(client: Any, store: Store) -> None:
    alias = create(client).json["id"]
    shown = client.get(f"/domainaliases/{alias.upper()}").json
    made = store.domain_aliases.get(ObjectId(alias))["created"]
    assert shown.pop("created") == made.strftime("%Y-%m-%dT%H:%M:%S.") + f"{made.microsecond // 1000:03}Z"
    assert shown == {"success": True, "id": alias, **ALIAS}


@pytest.mark.parametrize("name", ["münchen.example", "MÜNCHEN.example", "xn--mnchen-3ya.example"])
def test_an_alias_is_found_in_every_spelling(client: Any, name: str) -> None:
    alias = create(client, "münchen.example").json["id"]
    assert client.get(f"/domainaliases/resolve/{name}").json == {"success": True, "id": alias}


def test_a_domain_is_not_found_as_an_alias(client: Any) -> None:
    create(client)
    assert refusal(client.get("/domainaliases/resolve/example.com")) == (404, "AliasNotFound")


@pytest.mark.parametrize("name", ["example.org", "EXAMPLE.ORG"])
def test_an_alias_stands_for_one_domain(client: Any, store: Store, name: str) -> None:
    create(client)
    assert refusal(create(client, name, "example.net")) == (400, "AliasExists")
    assert [row["domain"] for row in store.databases.users["domainaliases"].find()] == ["example.com"]
    assert store.databases.users["domaincache"].count_documents({"domain": "example.net"}) == 0


@pytest.mark.parametrize(
    ("alias", "domain"),
    [("example.net", "example.org"), ("example.com", "example.net"), ("example.com", "example.org")],
)
def test_aliases_make_no_chains_and_no_circles(client: Any, store: Store, alias: str, domain: str) -> None:
    create(client)
    assert refusal(create(client, alias, domain)) == (400, "AliasChain")
    assert store.databases.users["domainaliases"].count_documents({}) == 1


def test_a_domain_has_many_aliases(client: Any) -> None:
    create(client)
    assert create(client, "example.net").status_code == 200


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({}, {"alias", "domain"}),
        ({"alias": "", "domain": None}, {"alias", "domain"}),
        ({"alias": 5, "domain": ["example.com"]}, {"alias", "domain"}),
        ({"alias": {"$ne": ""}, "domain": "example.com"}, {"alias"}),
        ({"alias": "*.example.org", "domain": "ada@example.com"}, {"alias", "domain"}),
        ({"alias": "a b", "domain": "a..b"}, {"alias", "domain"}),
        ({"alias": "x" * 64 + ".example", "domain": ".".join(["x" * 60] * 5)}, {"alias", "domain"}),
        ({"alias": "example.org\0", "domain": "example.com."}, {"alias", "domain"}),
        ({"alias": "Example.com", "domain": "example.COM"}, {"alias"}),
        ({"alias": "xn--mnchen-3ya.example", "domain": "münchen.example"}, {"alias"}),
        ({**ALIAS, "foo": 1, "ip": "x", "sess": ""}, {"foo", "ip", "sess"}),
    ],
)
def test_bad_input_names_the_fields_and_stores_nothing(
    client: Any, store: Store, fields: dict[str, Any], at_fault: set[str]
) -> None:
    assert details(client.post("/domainaliases", json=fields)) == at_fault
    for name in ("domainaliases", "domaincache"):
        assert store.databases.users[name].count_documents({}) == 0


@pytest.mark.parametrize("method", ["get", "delete"])
def test_unknown_aliases(client: Any, method: str) -> None:
    request = getattr(client, method)
    assert refusal(request(f"/domainaliases/{ObjectId()}")) == (404, "AliasNotFound")
    assert details(request("/domainaliases/example.org")) == {"alias"}
    assert details(request(f"/domainaliases/{ObjectId()}?foo=1")) == {"foo"}


def test_a_deleted_alias_is_gone(client: Any, store: Store) -> None:
    alias, other = create(client).json["id"], create(client, "example.net").json["id"]
    assert client.delete(f"/domainaliases/{alias}").json == {"success": True}
    assert refusal(client.delete(f"/domainaliases/{alias}")) == (404, "AliasNotFound")
    assert refusal(client.get("/domainaliases/resolve/example.org")) == (404, "AliasNotFound")
    assert [str(row["_id"]) for row in store.databases.users["domainaliases"].find()] == [other]
    assert create(client).status_code == 200


def test_a_list_without_aliases(client: Any) -> None:
    assert client.get("/domainaliases?unknown=1").json == {
        "success": True, "total": 0, "page": 1, "previousCursor": False, "nextCursor": False, "results": [],
    }  # fmt: skip


def test_listing_visits_each_alias_once_in_both_directions(client: Any) -> None:
    made = {name: create(client, f"{name}.example").json["id"] for name in "gcafdbe"}
    pages = [client.get("/domainaliases?limit=3").json]
    while cursor := pages[-1]["nextCursor"]:
        pages.append(client.get("/domainaliases", query_string={"limit": 3, "next": cursor}).json)
    assert [page["results"] for page in pages] == [
        [{"id": made[name], "alias": f"{name}.example", "domain": "example.com"} for name in names]
        for names in ("abc", "def", "g")
    ]
    assert [(page["page"], page["total"]) for page in pages] == [(1, 7), (2, 7), (3, 7)]
    back = client.get("/domainaliases", query_string={"limit": 3, "previous": pages[2]["previousCursor"]})
    assert (back.json["results"], back.json["page"]) == (pages[1]["results"], 2)
    assert all(len(page["nextCursor"] or "") < 100 for page in pages)


def test_a_cursor_to_a_long_name_is_taken_back(client: Any) -> None:
    names = [".".join([letter * 50] * 4) + ".example" for letter in "üýÿ"]
    for name in names:
        assert create(client, name).status_code == 200
    cursor = client.get("/domainaliases?limit=2").json["nextCursor"]
    rest = client.get("/domainaliases", query_string={"next": cursor}).json["results"]
    assert [row["alias"] for row in rest] == names[2:]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("example", ["example.net", "example.org", "münchen.example"]),
        (" ORG ", ["example.org", "münchen.example"]),
        ("xn--mnchen-3ya", ["münchen.example"]),
        ("example.com", ["example.net", "example.org"]),
        (".*", []),
        ("$", []),
        ("", ["example.net", "example.org", "münchen.example"]),
    ],
)
def test_listing_looks_for_text_in_both_names(client: Any, query: str, found: list[str]) -> None:
    create(client)
    create(client, "example.net")
    create(client, "münchen.example", "books.org")
    answer = client.get("/domainaliases", query_string={"query": query}).json
    assert [row["alias"] for row in answer["results"]] == found
    assert answer["total"] == len(found)
    assert answer.get("query") == (query.strip() or None)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=251", "limit=x", "next=abc", "next=bnVsbA", "previous=W10", "query=" + "x" * 256],
)
def test_bad_listing_input(client: Any, query: str) -> None:
    expected = {"next"} if query.startswith("previous") else {query.partition("=")[0]}
    assert details(client.get(f"/domainaliases?{query}")) == expected


def test_mail_to_an_alias_goes_to_the_domain_unless_the_alias_has_the_address(
    client: Any, make_user: Callable[..., ObjectId]
) -> None:
    ada = str(make_user("ada"))
    bob = str(make_user("bob", address="ada@example.net"))
    for alias in ("example.org", "example.net"):
        assert create(client, alias).status_code == 200

    def owner(address: str) -> Any:
        return client.get(f"/addresses/resolve/{address}").json.get("user")

    assert owner("A.da+x@EXAMPLE.org") == ada
    assert owner("ada@example.net") == bob
    assert owner("nobody@example.org") is None
    alias = client.get("/domainaliases/resolve/example.org").json["id"]
    client.delete(f"/domainaliases/{alias}")
    assert owner("ada@example.org") is None


def test_wildcards_of_the_domain_take_mail_for_the_alias(
    client: Any, make_user: Callable[..., ObjectId]
) -> None:
    ada = str(make_user("ada"))
    client.post(f"/users/{ada}/addresses", json={"address": "*@example.com", "allowWildcard": True})
    create(client)
    found = client.get("/addresses/resolve/any@example.org?allowWildcard=true").json
    assert (found["user"], found["address"]) == (ada, "*@example.com")


def test_an_account_logs_in_and_sends_with_its_address_at_an_alias(
    client: Any, store: Store, make_user: Callable[..., ObjectId]
) -> None:
    ada = str(make_user("ada"))
    create(client)
    answer = client.post("/authenticate", json={"username": "ada@example.org", "password": PASSWORD})
    assert answer.json["id"] == ada
    sent = client.post(
        f"/users/{ada}/submit",
        json={
            "from": {"address": "ada@example.org"},
            "to": [{"address": "x@example.net"}],
            "subject": "Hello",
        },
    )
    assert sent.status_code == 200, sent.json
    message = store.databases.main["messages"].find_one({"user": ObjectId(ada)})
    assert message
    assert message["mimeTree"]["parsedHeader"]["from"][0]["address"] == "ada@example.org"


OPERATIONS = [
    ("GET", "/domainaliases", {}),
    ("POST", "/domainaliases", {"json": ALIAS}),
    ("GET", "/domainaliases/resolve/example.org", {}),
    ("GET", "/domainaliases/5d48a1f5fd1a4d1be0d4a1c1", {}),
    ("DELETE", "/domainaliases/5d48a1f5fd1a4d1be0d4a1c1", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), OPERATIONS)
def test_who_may_not(app: Flask, store: Store, method: str, path: str, options: dict[str, Any]) -> None:
    forged = Client(app, "0" * 40).request(method, path, **options)
    assert refusal(forged) == (403, "InvalidToken")
    token = store.tokens.provision("webmail", "webmail", secret="a secret cat")
    assert refusal(Client(app, token).request(method, path, **options)) == (403, "MissingPrivileges")
    assert store.databases.users["domainaliases"].count_documents({}) == 0
