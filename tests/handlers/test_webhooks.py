"""getWebhooks, createWebhook, deleteWebhook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from server.contract.operations import Contract
from server.http.app import create_app
from server.settings.table import Settings
from storage.store import Store
from tests.conftest import Client
from tests.rows import Row

URL = "https://hooks.example.com/in?x=1"
NOBODY = "5d48a1f5fd1a4d1be0d4a1c1"


def create(client: Any, *types: str, **fields: Any) -> Any:
    return client.post("/webhooks", json={"type": list(types) or ["*"], "url": URL, **fields})


def rows(store: Store) -> list[Row]:
    return list(store.databases.users["webhooks"].find({}).sort("_id", 1))


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def test_a_hook_is_stored_as_wildduck_stores_it(client: Any, store: Store, ada: str) -> None:
    answer = create(client, " User.* ", "user.*", user=ada.upper())
    (row,) = rows(store)
    assert answer.json == {"success": True, "id": str(row["_id"])}
    assert row == {
        "_id": row["_id"], "type": ["user.*", "user.*"], "user": ObjectId(ada), "url": URL, "created": row["created"],
    }  # fmt: skip


def test_a_hook_of_all_accounts(client: Any, store: Store) -> None:
    create(client)
    assert [row["user"] for row in rows(store)] == [None]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": []},
        {"url": "smtp://mx.example.com"},
        {"url": "smtps://u:p@mx.example.com:465"},
        {"url": "http://[::1]:8080"},
        {"type": ["no such event"], "sess": "s", "ip": "192.0.2.1"},
    ],
)
def test_what_is_taken(client: Any, store: Store, fields: dict[str, Any]) -> None:
    answer = client.post("/webhooks", json={"type": ["*"], "url": URL, **fields})
    assert answer.status_code == 200, answer.json
    assert rows(store)[0].keys() == {"_id", "type", "user", "url", "created"}


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({}, {"type", "url"}),
        ({"type": "user.created", "url": ""}, {"type", "url"}),
        ({"type": [""], "url": "hooks.example.com"}, {"type,0", "url"}),
        ({"type": ["x" * 129, 5], "url": "ftp://example.com"}, {"type,0", "type,1", "url"}),
        ({"type": ["*"] * 101, "url": "HTTP://example.com"}, {"type", "url"}),
        ({"type": ["*"], "url": "https:///path"}, {"url"}),
        ({"type": ["*"], "url": "https://u:p@/path"}, {"url"}),
        ({"type": ["*"], "url": "https://münchen.example"}, {"url"}),
        ({"type": ["*"], "url": "https://example.com/\r\nX: y"}, {"url"}),
        ({"type": ["*"], "url": "https://example.com:port"}, {"url"}),
        ({"type": ["*"], "url": "https://[::1"}, {"url"}),
        ({"type": ["*"], "url": f"https://example.com/{'x' * 2048}"}, {"url"}),
        ({"type": {"$ne": 1}, "url": URL, "user": "*"}, {"type", "user"}),
        ({"type": ["*"], "url": URL, "more": 1, "ip": "x"}, {"more", "ip"}),
    ],
)
def test_bad_input_names_the_fields_and_stores_nothing(
    client: Any, store: Store, fields: dict[str, Any], at_fault: set[str]
) -> None:
    assert details(client.post("/webhooks", json=fields)) == at_fault
    assert rows(store) == []


def test_a_hook_of_nobody(client: Any, store: Store) -> None:
    assert refusal(create(client, user=NOBODY)) == (404, "UserNotFound")
    assert rows(store) == []


def test_a_service_that_signs_tells_the_secret_once(
    store: Store, settings: Settings, contract: Contract
) -> None:
    signing = Client(create_app(replace(settings, webhook_secret="s"), store, contract))
    one, other = create(signing).json, create(signing).json
    assert one["secret"].startswith("whsec_")
    assert one["secret"] != other["secret"]
    assert all("secret" not in row for row in signing.get("/webhooks").json["results"])


def test_what_a_listing_shows(client: Any, store: Store, ada: str) -> None:
    first, second = create(client, "user.*", user=ada).json["id"], create(client).json["id"]
    store.databases.users["webhooks"].update_one({"_id": ObjectId(second)}, {"$unset": {"created": ""}})
    answer = client.get("/webhooks?unknown=1").json
    assert all(row.pop("created") for row in answer["results"])
    assert answer == {
        "success": True, "user": None, "total": 2, "page": 1, "previousCursor": False, "nextCursor": False,
        "results": [
            {"id": first, "type": ["user.*"], "user": ada, "url": URL},
            {"id": second, "type": ["*"], "user": None, "url": URL},
        ],
    }  # fmt: skip


def test_a_listing_by_type_and_account(client: Any, ada: str, make_user: Callable[..., ObjectId]) -> None:
    bob = str(make_user("bob"))
    made = {
        name: create(client, *types, **fields).json["id"]
        for name, types, fields in (
            ("ada", ["user.*", "asp.created"], {"user": ada}),
            ("bob", ["user.*"], {"user": bob}),
            ("all", ["*"], {}),
        )
    }

    def found(**query: str) -> set[str]:
        answer = client.get("/webhooks", query_string=query).json
        assert answer["total"] == len(answer["results"])
        assert (answer.get("type"), answer["user"]) == (
            query.get("type", "").lower() or None,
            query.get("user"),
        )
        return {name for name, hook in made.items() if hook in {row["id"] for row in answer["results"]}}

    assert found(type="USER.*") == {"ada", "bob"}
    assert found(type="user.created") == set(), "a listing matches no patterns"
    assert found(type="*") == {"all"}
    assert found(user=ada) == {"ada"}
    assert found(user=ada, type="asp.created") == {"ada"}
    assert found(user=bob, type="asp.created") == set()
    assert found() == {"ada", "bob", "all"}


def test_listing_visits_each_hook_once_in_both_directions(client: Any) -> None:
    made = [create(client).json["id"] for _ in range(7)]
    pages = [client.get("/webhooks?limit=3&type=*").json]
    while cursor := pages[-1]["nextCursor"]:
        pages.append(client.get("/webhooks", query_string={"limit": 3, "type": "*", "next": cursor}).json)
    assert [[row["id"] for row in page["results"]] for page in pages] == [made[:3], made[3:6], made[6:]]
    assert [(page["page"], page["total"]) for page in pages] == [(1, 7), (2, 7), (3, 7)]
    back = client.get("/webhooks", query_string={"limit": 3, "previous": pages[2]["previousCursor"]}).json
    assert (back["results"], back["page"]) == (pages[1]["results"], 2)
    assert all(len(page["nextCursor"] or "") < 100 for page in pages)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=251", "limit=x", "next=abc", "user=me2", "type=" + "x" * 129]
)
def test_bad_listing_input(client: Any, query: str) -> None:
    assert details(client.get(f"/webhooks?{query}")) == {query.partition("=")[0]}


def test_a_user_sees_the_own_hooks_and_changes_none(
    as_caller: Callable[..., Any], ada: str, make_user: Callable[..., ObjectId]
) -> None:
    manager = as_caller("manager")
    bob = str(make_user("bob"))
    own, others = (create(manager, user=user).json["id"] for user in (ada, bob))
    create(manager)
    user = as_caller("user", ada)
    answer = user.get("/webhooks", query_string={"user": bob}).json
    assert ([row["id"] for row in answer["results"]], answer["user"], answer["total"]) == ([own], ada, 1)
    for request in (
        lambda: create(user, user=ada),
        lambda: user.delete(f"/webhooks/{own}"),
        lambda: user.delete(f"/webhooks/{others}"),
        lambda: user.delete(f"/webhooks/{NOBODY}"),
    ):
        assert refusal(request()) == (403, "MissingPrivileges")


@pytest.mark.parametrize("role", ["auth", None])
def test_who_may_not(as_caller: Callable[..., Any], store: Store, role: str | None) -> None:
    hook = store.webhooks.create(["*"], URL, None)
    client = as_caller(role)
    expected = (403, "MissingPrivileges" if role else "InvalidToken")
    assert refusal(client.get("/webhooks")) == expected
    assert refusal(create(client)) == expected
    assert refusal(client.delete(f"/webhooks/{hook}")) == expected
    assert len(rows(store)) == 1


def test_a_deleted_hook_is_gone_with_what_it_had_to_be_told(client: Any, store: Store, ada: str) -> None:
    hook, other = create(client).json["id"], create(client).json["id"]
    client.post(f"/users/{ada}/mailboxes", json={"path": "Work"})
    store.webhook_queue.discover()
    assert client.delete(f"/webhooks/{hook}").json == {"success": True}
    assert [str(row["_id"]) for row in rows(store)] == [other]
    for name in ("webhookqueue", "webhooklanes"):
        assert [str(row["hook"]) for row in store.databases.main[name].find({})] == [other]
    assert refusal(client.delete(f"/webhooks/{hook}")) == (404, "WebhookNotFound")


def test_unknown_hooks(client: Any) -> None:
    assert refusal(client.delete(f"/webhooks/{NOBODY}")) == (404, "WebhookNotFound")
    assert details(client.delete("/webhooks/x")) == {"webhook"}
    assert details(client.delete(f"/webhooks/{NOBODY}?foo=1")) == {"foo"}
