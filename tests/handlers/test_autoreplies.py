"""updateAutoreply, getAutoreply, deleteAutoreply."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from handlers.autoreplies import delete_autoreply, update_autoreply
from handlers.call import Call
from storage.store import Store
from tests.conftest import Client
from tests.rows import Row
from tests.storage.conftest import together

NONE = {
    "success": True, "status": False, "name": "", "subject": "", "text": "", "html": "", "start": False, "end": False,
}  # fmt: skip
START, END = "2026-11-24T10:00:00.000Z", "2026-11-30T07:00:00.000Z"


@pytest.fixture
def path(ada: str) -> str:
    return f"/users/{ada}/autoreply"


def documents(store: Store) -> list[Row]:
    return list(store.databases.main["autoreplies"].find())


def is_on(store: Store, user: str) -> Any:
    return store.users.get(ObjectId(user))["autoreply"]


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def events(store: Store) -> list[tuple[str, int]]:
    rows = store.databases.users["authlog"].find({"action": {"$regex": "autoreply"}}).sort("_id", 1)
    return [(row["action"], row["events"]) for row in rows]


def test_made_as_it_stands_on_disk(client: Any, store: Store, ada: str, path: str) -> None:
    body = {
        "status": "yes",
        "name": " Ada ",
        "subject": "",
        "text": "x",
        "start": START,
        "end": "1796022000000",
    }
    answer = client.put(path, json={**body, "sess": "s", "ip": "192.0.2.1"}).json
    (document,) = documents(store)
    assert answer == {"success": True, "id": str(document["_id"])}
    assert document.pop("updated") == document.pop("created") <= store.clock()
    assert document == {
        "_id": document["_id"], "user": ObjectId(ada), "status": True, "name": "Ada", "subject": "", "text": "x",
        "start": datetime(2026, 11, 24, 10, tzinfo=UTC), "end": datetime(2026, 11, 30, 7, tzinfo=UTC),
        "mallard": {"user": ObjectId(ada)},
    }  # fmt: skip
    assert is_on(store, ada) is True
    assert client.get(f"/users/{ada}").json["autoreply"] is True


def test_what_it_shows(client: Any, path: str) -> None:
    assert client.get(path).json == NONE
    client.put(path, json={"subject": "Away", "html": "<p>x", "start": START, "end": END})
    shown = client.get(path).json
    created = shown.pop("created")
    assert shown == {**NONE, "subject": "Away", "html": "<p>x", "start": START, "end": END}
    client.put(path, json={"status": 1, "subject": "", "start": "false", "end": ""})
    assert client.get(path).json == {**NONE, "status": True, "html": "<p>x", "end": END, "created": created}


def test_the_least(client: Any, store: Store, ada: str, path: str) -> None:
    first = client.put(path, json={}).json["id"]
    (document,) = documents(store)
    assert (str(document["_id"]), document["status"], is_on(store, ada)) == (first, False, False)
    assert client.put(path, json={"name": ""}).json["id"] == first


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"status": "perhaps", "name": "x" * 129, "stop": 1}, {"status", "name", "stop"}),
        ({"subject": "x" * 2049, "text": "x" * 131_073, "html": 5}, {"subject", "text", "html"}),
        ({"start": "soon", "end": True}, {"start", "end"}),
        ({"start": None, "end": -1}, {"start", "end"}),
        ({"name": {"$ne": ""}, "sess": "", "ip": "x"}, {"name", "sess", "ip"}),
        ({"start": END, "end": START, "text": "new"}, {"end"}),
        ({"start": "2026-11-30T07:00:00.001Z"}, {"end"}),
    ],
)
def test_bad_input_names_the_fields(
    client: Any, store: Store, path: str, fields: dict[str, Any], at_fault: set[str]
) -> None:
    client.put(path, json={"status": True, "end": END})
    before = documents(store)
    assert details(client.put(path, json=fields)) == at_fault
    assert documents(store) == before


def test_an_end_may_come_with_another_start(client: Any, path: str) -> None:
    client.put(path, json={"start": START, "end": END})
    assert details(client.put(path, json={"end": "2026-11-24T09:59:59Z"})) == {"end"}
    assert client.put(path, json={"end": START}).status_code == 200
    assert client.put(path, json={"start": END, "end": False}).status_code == 200


def test_deleted_is_gone(client: Any, store: Store, ada: str, path: str) -> None:
    first = client.put(path, json={"status": True}).json["id"]
    assert client.delete(path).json == {"success": True}
    assert (documents(store), is_on(store, ada), client.get(path).json) == ([], False, NONE)
    assert client.delete(path).json == {"success": True}
    assert client.put(path, json={}).json["id"] != first, (
        "whom the old one answered does not count for the new one"
    )


def test_what_is_logged(client: Any, store: Store, path: str) -> None:
    for body in ({}, {"status": True}, {"status": True}, {"text": "x"}, {"status": False}):
        client.put(path, json=body)
    client.delete(path)
    client.delete(path)
    assert events(store) == [
        ("autoreply enabled", 1), ("autoreply changed", 2), ("autoreply disabled", 1), ("autoreply deleted", 1),
    ]  # fmt: skip


def test_50_at_once_make_one_document(store: Store, ada: str) -> None:
    call, user = Call(store=store), ObjectId(ada)
    results = together(50, lambda n: update_autoreply(call, user, {"status": n % 2 == 0, "text": str(n)}))
    (document,) = documents(store)
    assert results == [{"success": True, "id": document["_id"]}] * 50
    assert document["status"] == is_on(store, ada)


def test_flag_and_document_agree_whatever_happens_at_once(store: Store, ada: str) -> None:
    call, user = Call(store=store), ObjectId(ada)
    for _ in range(10):
        results = together(
            4,
            lambda n: (
                update_autoreply(call, user, {"status": True}) if n % 2 else delete_autoreply(call, user)
            ),
        )
        assert all(isinstance(result, dict) for result in results), results
        rows = documents(store)
        assert len(rows) <= 1
        assert any(row["status"] for row in rows) == is_on(store, ada)


def test_those_of_wildduck(client: Any, store: Store, ada: str, path: str) -> None:
    rows = [{"user": ObjectId(ada), "status": True, "text": text, "sess": "s", "ip": "::1"} for text in "ab"]
    rows[0]["created"] = "2026-11-24T10:00:00.000Z"
    first, second = store.databases.main["autoreplies"].insert_many(rows).inserted_ids
    shown = client.get(path).json
    assert (shown["text"], shown["created"]) == ("a", START)
    assert client.put(path, json={"text": "c"}).json["id"] == str(first)
    changed = store.databases.main["autoreplies"].find_one({"_id": first})
    assert changed
    assert (changed["text"], {"sess", "ip", "mallard"} & changed.keys()) == ("c", set())
    assert is_on(store, ada) is True
    client.delete(path)
    assert documents(store) == []
    store.databases.main["autoreplies"].insert_one({"_id": second, "user": ObjectId(ada)})
    assert client.get(path).json["created"] == second.generation_time.strftime("%Y-%m-%dT%H:%M:%S.000Z")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_which_and_for_whom(
    client: Any, app: Any, store: Store, as_role: Any, ada: str, make_user: Any, path: str, method: str
) -> None:
    body = {"json": {"text": "x"}} if method == "PUT" else {}
    answer = client.request(method, f"/users/{ObjectId()}/autoreply", **body)
    assert (answer.status_code, answer.json["code"]) == (404, "UserNotFound")
    assert details(client.request(method, "/users/no/autoreply?sess=&x=1", **body)) == {"user", "sess", "x"}
    for caller, code in (
        (Client(app, "0" * 40), "InvalidToken"),
        (as_role("auth"), "MissingPrivileges"),
        (as_role("user", str(make_user("bob"))), "MissingPrivileges"),
    ):
        answer = caller.request(method, path, **body)
        assert (answer.status_code, answer.json["code"]) == (403, code)
    assert documents(store) == []
    assert as_role("user", ada).request(method, "/users/me/autoreply", **body).status_code == 200
