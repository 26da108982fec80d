"""authenticate, invalidateAccessToken."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from handlers.authentication import authenticate
from handlers.call import Call
from problems import Problem
from security.passwords import hash_password
from storage.store import Store

PASSWORD = "correct horse battery"


def login(client: Any, **fields: Any) -> Any:
    return client.post("/authenticate", json={"username": "ada", "password": PASSWORD, **fields})


def test_log_in(client: Any, store: Store, ada: str) -> None:
    answer = login(client, ip="203.0.113.7", sess="s1", appId="https://app.example")
    assert answer.json == {
        "success": True, "id": ada, "username": "ada", "address": "ada@example.com", "scope": "master",
        "require2fa": False, "require2faEnabled": False, "requirePasswordChange": False,
    }  # fmt: skip
    event = store.databases.users["authlog"].find_one({"action": "authentication"})
    assert (event["result"], event["ip"], event["sess"], event["source"]) == (
        "success",
        "203.0.113.7",
        "s1",
        "master",
    )
    assert store.users.get(ObjectId(ada))["lastLogin"]["authEvent"] == event["_id"]


@pytest.mark.parametrize("name", ["ADA", "a.d.a", "ada@example.com", "A.d.a+x@Example.COM"])
def test_names_to_log_in_with(client: Any, ada: str, name: str) -> None:
    assert login(client, username=name).json["id"] == ada


def test_failures_tell_nothing_but_their_code(client: Any, ada: str) -> None:
    wrong = login(client, password="wrong")
    assert (wrong.status_code, wrong.json["code"], wrong.json["id"]) == (403, "AuthFailed", ada)
    unknown = login(client, username="nobody")
    assert (unknown.status_code, unknown.json["code"]) == (403, "AuthFailed")
    assert "id" not in unknown.json


def test_a_token_opens_the_own_account_alone(client: Any, ada: str, make_user: Any) -> None:
    token = login(client, token=True).json["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/users/me", headers=headers).json["id"] == ada
    assert client.get(f"/users/{make_user('bob')}", headers=headers).json["code"] == "MissingPrivileges"
    assert "internalData" not in client.get("/users/me", headers=headers).json
    assert client.delete("/authenticate", headers=headers).json == {"success": True}
    assert client.get("/users/me", headers=headers).json["code"] == "InvalidToken"


def test_tokens_are_hashed_at_rest(client: Any, store: Store, ada: str) -> None:
    token = login(client, token=True).json["token"]
    assert token not in str(list(store.databases.users["accesstokens"].find()))


def test_twelve_failures_shut_the_account_also_in_a_burst(store: Store, ada: str) -> None:
    def attempt(number: int) -> str:
        body = {"username": "ada", "password": f"wrong{number}", "scope": "master", "protocol": "API"}
        try:
            authenticate(call=Call(store=store), body=body)
        except Problem as problem:
            return problem.code
        return "in"

    with ThreadPoolExecutor(10) as pool:
        outcomes = Counter(pool.map(attempt, range(20)))
    assert outcomes == {"AuthFailed": 12, "RateLimitedError": 8}
    with pytest.raises(Problem, match="RateLimitedError"):
        authenticate(
            call=Call(store=store),
            body={"username": "ada", "password": PASSWORD, "scope": "master", "protocol": "API"},
        )


def test_a_success_clears_the_failures(client: Any, ada: str) -> None:
    for _ in range(3):
        for _ in range(8):
            login(client, password="wrong")
        assert login(client).status_code == 200


def test_an_old_hash_is_replaced(client: Any, store: Store, ada: str) -> None:
    old = "$pbkdf2-sha256$i=100000$AAECAwQFBgcICQoLDA0ODw$trmn14eaJqetmcWSJJwUWVLKUOyf765hiEQzeYnvalM"
    store.users.update(ObjectId(ada), {}, more={"password": old})
    assert login(client, password="pässwörd").status_code == 200
    assert store.users.get(ObjectId(ada))["password"].startswith("$argon2id$")
    assert login(client, password="pässwörd").status_code == 200


def test_a_temporary_password_never_becomes_the_password(client: Any, store: Store, ada: str) -> None:
    old = "$1$saltsalt$NuzA7WTAelpl95xgBGWN60"
    now = store.clock()
    temporary = {"validAfter": now, "password": hash_password("temporary"), "created": now}
    store.users.update(ObjectId(ada), {}, more={"password": old, "tempPassword": temporary})
    answer = login(client, password="temporary")
    assert answer.json["requirePasswordChange"] is True
    assert store.users.get(ObjectId(ada))["password"] == old
    assert login(client, password="temporary", scope="imap").json["code"] == "InvalidAuthScope"


@pytest.mark.parametrize(
    ("age", "ahead", "code"), [(23, 0, None), (25, 0, "AuthFailed"), (0, 2, "TempPasswordNotYetValid")]
)
def test_when_a_temporary_password_is_good(
    client: Any, store: Store, ada: str, age: int, ahead: int, code: str | None
) -> None:
    created = store.clock() - timedelta(hours=age)
    temporary = {
        "validAfter": created + timedelta(hours=ahead),
        "password": hash_password("t"),
        "created": created,
    }
    store.users.update(ObjectId(ada), {}, more={"tempPassword": temporary})
    assert login(client, password="t").json.get("code") == code


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"disabled": True}, "AuthFailed"),
        ({"suspended": True}, "AuthFailed"),
        ({"disabledScopes": ["imap"]}, "InvalidAuthScope"),
    ],
)
def test_shut_accounts(client: Any, ada: str, fields: dict[str, Any], code: str) -> None:
    token = login(client, token=True).json["token"]
    client.put(f"/users/{ada}", json=fields)
    answer = login(client, scope="imap")
    assert (answer.status_code, answer.json["code"]) == (403, code)
    still = client.get("/users/me", headers={"X-Access-Token": token}).status_code
    assert still == (200 if "disabledScopes" in fields else 403)


def test_with_a_second_factor_no_token_comes_by_the_password_alone(
    client: Any, store: Store, ada: str
) -> None:
    store.users.update(ObjectId(ada), {}, more={"enabled2fa": ["totp", "u2f"]})
    answer = login(client, token=True).json
    assert answer["require2fa"] == ["totp", "webauthn"]
    assert "token" not in answer


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"username": ""}, {"username"}),
        ({"username": "a b"}, {"username"}),
        ({"password": 123456}, {"password"}),
        ({"password": "x" * 257, "ip": "1.2.3", "sess": ""}, {"password", "ip", "sess"}),
        ({"token": True, "scope": "imap"}, {"scope"}),
        ({"what": 1}, {"what"}),
        ({"username": {"$gt": ""}}, {"username"}),
    ],
)
def test_bad_input(client: Any, ada: str, fields: dict[str, Any], at_fault: set[str]) -> None:
    answer = login(client, **fields)
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError")
    assert set(answer.json["details"]) == at_fault
