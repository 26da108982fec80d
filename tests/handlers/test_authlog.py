"""getAuthlog, getAuthlogEvent, and the events that operations write."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from accounts.context import Rules
from storage.store import Store

PASSWORD = "correct horse battery"


def login(client: Any, **fields: Any) -> Any:
    return client.post("/authenticate", json={"username": "ada", "password": PASSWORD, **fields})


def log_of(client: Any, user: str, **query: Any) -> Any:
    answer = client.get(f"/users/{user}/authlog", query_string=query)
    assert answer.status_code == 200, answer.json
    return answer.json


def test_a_whole_listing(client: Any, store: Store, ada: str) -> None:
    login(client, ip="192.0.2.1", sess="s", appId="https://app.example")
    login(client, ip="192.0.2.1", password="wrong")
    login(client, ip="192.0.2.1", password="wrong")
    listing = log_of(client, ada)
    failed, success, created = listing.pop("results")
    assert listing == {"success": True, "total": 3, "page": 1, "previousCursor": False, "nextCursor": False}
    dates = {name: success.pop(name) for name in ("created", "last", "expires")}
    assert dates["created"] == dates["last"] < dates["expires"]
    assert success == {
        "id": str(store.users.get(ObjectId(ada))["lastLogin"]["authEvent"]), "action": "authentication",
        "result": "success", "protocol": "API", "sess": "s", "ip": "192.0.2.1", "events": 1, "source": "master",
        "requiredScope": "master", "appId": "https://app.example", "key": success["key"],
    }  # fmt: skip
    assert len(base64.b64decode(success["key"])) == 16
    assert (failed["result"], failed["events"], failed["sess"]) == ("fail", 2, None)
    assert (created["action"], created["protocol"]) == ("account created", None)


def test_one_entry(client: Any, ada: str) -> None:
    login(client)
    row = log_of(client, ada)["results"][0]
    answer = client.get(f"/users/{ada}/authlog/{row['id'].upper()}")
    assert answer.json == {"success": True, **row}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"filterIp": "192.0.2.1"}, 2),
        ({"filterip": "192.0.2.2"}, 1),
        ({"filterip": "192.0.2.3"}, 0),
        ({"action": " AUTHENTICATION "}, 3),
        ({"action": "account created"}, 1),
        ({"action": "nothing"}, 0),
        ({"action": "", "page": 7, "sess": "s", "ip": "192.0.2.9"}, 4),
        ({"action": "authentication", "filterIp": "192.0.2.1"}, 2),
    ],
)
def test_filters(client: Any, ada: str, query: dict[str, Any], count: int) -> None:
    login(client, ip="192.0.2.1")
    login(client, ip="192.0.2.1", password="wrong")
    login(client, ip="192.0.2.2")
    listing = log_of(client, ada, **query)
    assert (listing["total"], len(listing["results"])) == (count, count)
    assert listing.get("action", "") == query.get("action", "").strip().lower()


def test_paging_visits_each_entry_once_both_ways(client: Any, store: Store, ada: str) -> None:
    for number in range(6):
        store.auth_log.write(ObjectId(ada), f"action {number}")
    pages = [log_of(client, ada, limit=3)]
    while pages[-1]["nextCursor"]:
        pages.append(log_of(client, ada, limit=3, next=pages[-1]["nextCursor"]))
    actions = [row["action"] for page in pages for row in page["results"]]
    assert actions == [*(f"action {number}" for number in range(5, -1, -1)), "account created"]
    assert [page["page"] for page in pages] == [1, 2, 3]
    back = log_of(client, ada, limit=3, previous=pages[2]["previousCursor"])
    assert (back["results"], back["page"]) == (pages[1]["results"], 2)
    first = log_of(client, ada, limit=3, previous=back["previousCursor"])
    assert (first["results"], first["previousCursor"]) == (pages[0]["results"], False)


def test_a_cursor_of_an_older_client_is_read(client: Any, store: Store, ada: str) -> None:
    store.auth_log.write(ObjectId(ada), "reset")
    newest, oldest = log_of(client, ada)["results"]
    cursor = base64.urlsafe_b64encode(f'{{"$oid":"{newest["id"]}"}}'.encode()).decode().rstrip("=")
    listing = log_of(client, ada, next=cursor, page=2)
    assert (listing["results"], listing["page"]) == ([oldest], 2)


def test_entries_of_wildduck_are_shown_as_they_are(client: Any, store: Store, ada: str) -> None:
    credential, now = ObjectId(), store.clock()
    entry = {
        "user": ObjectId(ada), "action": "register webauthn", "result": "success", "protocol": None, "sess": None,
        "ip": None, "source": None, "target": None, "require2fa": None, "filter": None, "temporary": None,
        "created": now, "last": now, "expires": now + timedelta(days=1), "events": 1, "key": b"0" * 16,
        "credential": {"id": credential, "rawId": b"raw", "description": "Key"},
    }  # fmt: skip
    store.databases.users["authlog"].insert_one(entry)
    (row,) = log_of(client, ada, action="register webauthn")["results"]
    assert row["credential"] == {"id": str(credential), "rawId": "cmF3", "description": "Key"}
    assert row["source"] is None


def test_a_user_sees_the_own_log_without_inner_things(client: Any, ada: str, make_user: Any) -> None:
    headers = {"X-Access-Token": login(client, token=True).json["token"]}
    row = client.get("/users/me/authlog", headers=headers).json["results"][0]
    assert "key" not in row
    assert "key" not in client.get(f"/users/{ada}/authlog/{row['id']}", headers=headers).json
    refused = client.get(f"/users/{make_user('bob')}/authlog", headers=headers)
    assert (refused.status_code, refused.json["code"]) == (403, "MissingPrivileges")


@pytest.mark.parametrize("path", ["authlog", "authlog/5d48a1f5fd1a4d1be0d4a1c1"])
def test_who_may_not_read_it(client: Any, store: Store, ada: str, path: str) -> None:
    for token, code in (
        ("0" * 40, "InvalidToken"),
        (store.tokens.provision("imap", "auth", secret=Rules().secret), "MissingPrivileges"),
    ):
        answer = client.get(f"/users/{ada}/{path}", headers={"X-Access-Token": token})
        assert (answer.status_code, answer.json["code"]) == (403, code)


def test_what_is_not_there(client: Any, ada: str, make_user: Any) -> None:
    login(client)
    event = log_of(client, ada)["results"][0]["id"]
    for path, code in (
        (f"{ObjectId()}/authlog", "UserNotFound"),
        (f"{ObjectId()}/authlog/{event}", "UserNotFound"),
        (f"{make_user('bob')}/authlog/{event}", "EventNotFound"),
        (f"{ada}/authlog/{ObjectId()}", "EventNotFound"),
    ):
        answer = client.get(f"/users/{path}")
        assert (answer.status_code, answer.json["code"]) == (404, code)


@pytest.mark.parametrize(
    ("path", "query", "at_fault"),
    [
        (
            "authlog",
            {"limit": 251, "filterIp": "1.2.3.4/24", "filterip": "x"},
            {"limit", "filterIp", "filterip"},
        ),
        ("authlog", {"action": "x" * 101, "what": 1}, {"action", "what"}),
        ("authlog", {"next": "W10"}, {"next"}),
        ("authlog", {"ip": "no", "sess": ""}, {"ip", "sess"}),
        ("authlog/xyz", {}, {"event"}),
    ],
)
def test_bad_input(client: Any, ada: str, path: str, query: dict[str, Any], at_fault: set[str]) -> None:
    answer = client.get(f"/users/{ada}/{path}", query_string=query)
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError")
    assert set(answer.json["details"]) == at_fault


def test_changes_of_an_account_are_logged(client: Any, ada: str) -> None:
    user = f"/users/{ada}"
    client.put(user, json={"password": "new", "existingPassword": "wrong", "ip": "192.0.2.1"})
    client.put(user, json={"password": "new", "existingPassword": PASSWORD, "protocol": "Web"})
    client.put(user, json={"targets": ["ada@example.org"]})
    asp = client.post(f"{user}/asps", json={"description": "Phone", "ttl": 60}).json["id"]
    client.delete(f"{user}/asps/{asp}?protocol=Web")
    shown = ("action", "result", "protocol", "ip", "target", "asp", "aname", "temporary")
    rows = [
        {name: row[name] for name in shown if row.get(name) is not None}
        for row in log_of(client, ada)["results"]
    ]
    assert rows[::-1] == [
        {"action": "account created", "result": "success"},
        {"action": "password change", "result": "fail", "protocol": "API", "ip": "192.0.2.1"},
        {"action": "password change", "result": "success", "protocol": "Web"},
        {"action": "user forward added", "result": "success", "protocol": "API", "target": "ada@example.org"},
        {
            "action": "create asp",
            "result": "success",
            "protocol": "API",
            "asp": asp,
            "aname": "Phone",
            "temporary": True,
        },
        {"action": "delete asp", "result": "success", "protocol": "Web", "asp": asp, "aname": "Phone"},
    ]
