"""authenticate with application passwords."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from security.passwords import hash_password
from storage.store import Store
from tests.handlers.test_authentication_limits import add_asp
from tests.rows import Row, change_user

ASP = "owmlfwonfelqvewd"


def login(client: Any, password: str = ASP, scope: str = "imap", **fields: Any) -> Any:
    body = {"username": "ada", "password": password, "scope": scope, **fields}
    return client.post("/authenticate", json=body)


def last_event(store: Store) -> Row:
    return dict(store.databases.users["authlog"].find_one({"action": "authentication"}, sort=[("_id", -1)]))


def test_a_log_in(client: Any, store: Store, ada: str) -> None:
    change_user(store, ObjectId(ada), {}, more={"enabled2fa": ["totp"]})
    asp = add_asp(store, ada, ASP, "imap")
    answer = login(client, ip="192.0.2.1", protocol="IMAP")
    assert answer.json == {
        "success": True, "id": ada, "username": "ada", "address": "ada@example.com", "scope": "imap",
        "require2fa": False, "require2faEnabled": False, "requirePasswordChange": False,
    }  # fmt: skip
    event = last_event(store)
    assert (event["result"], event["source"], event["asp"], event["aname"]) == (
        "success",
        "asp",
        asp,
        "Phone",
    )
    assert "require2fa" not in event
    row = store.databases.users["asps"].find_one({"_id": asp})
    assert row
    assert (row["authEvent"], row["authIp"]) == (event["_id"], "192.0.2.1")
    assert store.users.get(ObjectId(ada))["lastLogin"]["time"] is False


@pytest.mark.parametrize("typed", ["owml fwon felq vewd", "OWMLFWONFELQVEWD"])
def test_as_a_person_types_it(client: Any, store: Store, ada: str, typed: str) -> None:
    add_asp(store, ada, ASP)
    assert login(client, typed).status_code == 200


@pytest.mark.parametrize(
    ("scopes", "scope", "code"),
    [
        (["*"], "smtp", None),
        (["imap", "smtp"], "pop3", "InvalidAuthScope"),
        (["*"], "master", "AuthFailed"),
    ],
)
def test_what_scopes_open(
    client: Any, store: Store, ada: str, scopes: list[str], scope: str, code: str | None
) -> None:
    asp = add_asp(store, ada, ASP, *scopes)
    answer = login(client, scope=scope)
    assert answer.json.get("code") == code
    event = last_event(store)
    assert event["result"] == ("fail" if code else "success")
    assert event.get("asp") == (None if code == "AuthFailed" else asp)


def test_of_two_that_are_the_same_the_one_that_opens_the_scope_counts(
    client: Any, store: Store, ada: str
) -> None:
    add_asp(store, ada, ASP, "pop3")
    wanted = add_asp(store, ada, ASP, "imap")
    assert login(client).status_code == 200
    assert last_event(store)["asp"] == wanted


def test_the_accounts_own_password_still_works_beside_a_wrong_scope(
    client: Any, store: Store, ada: str
) -> None:
    change_user(store, ObjectId(ada), {}, more={"password": hash_password(ASP)})
    add_asp(store, ada, ASP, "pop3")
    assert login(client).status_code == 200
    assert last_event(store)["source"] == "master"


def test_one_of_wildduck_without_a_selector(client: Any, store: Store, ada: str) -> None:
    old = "$pbkdf2-sha256$i=1000$AAECAwQFBgcICQoLDA0ODw$"
    import base64
    import hashlib

    salt = base64.b64decode("AAECAwQFBgcICQoLDA0ODw==")
    key = base64.b64encode(hashlib.pbkdf2_hmac("sha256", ASP.encode(), salt, 1000)).decode().rstrip("=")
    row = {"user": ObjectId(ada), "description": "Old", "scopes": ["imap"], "password": old + key}
    store.databases.users["asps"].insert_one({**row, "created": store.clock()})
    assert login(client).status_code == 200
    assert store.databases.users["asps"].find_one()["password"] == old + key, "these are never hashed anew"


def test_one_that_ended_opens_nothing_before_it_is_swept(client: Any, store: Store, ada: str) -> None:
    asp = add_asp(store, ada, ASP)
    past = store.clock() - timedelta(seconds=1)
    store.databases.users["asps"].update_one({"_id": asp}, {"$set": {"ttl": 60, "expires": past}})
    assert login(client).json["code"] == "AuthFailed"


@pytest.mark.parametrize("state", ["disabled", "suspended"])
def test_a_shut_account_is_shut_for_them(client: Any, store: Store, ada: str, state: str) -> None:
    add_asp(store, ada, ASP)
    change_user(store, ObjectId(ada), {state: True})
    assert login(client).json["code"] == "AuthFailed"
    assert last_event(store)["result"] == state


def test_with_a_second_factor_the_password_opens_the_account_alone(
    client: Any, store: Store, ada: str
) -> None:
    change_user(store, ObjectId(ada), {}, more={"enabled2fa": ["custom"]})
    answer = login(client, "correct horse battery")
    assert (answer.status_code, answer.json["code"]) == (403, "InvalidAuthScope")
    event = last_event(store)
    assert (event["result"], event["source"], event["require2fa"]) == ("fail", "master", "custom")
