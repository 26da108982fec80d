"""authenticate, invalidateAccessToken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from accounts.context import Rules
from handlers.authentication import authenticate
from handlers.call import Call
from security.passwords import hash_password, verify_password
from storage.store import Store
from tests.rows import change_user

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


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ada@bücher.example", True),
        ("Ada@XN--BCHER-KVA.example", True),
        ("a.da+label@bücher.example", True),
        ("ada@alias.example", True),
        ("жанна@example.com", True),
        ("anyone@wild.example", False),
        ("*@wild.example", False),
        ("team@example.com", False),
        ("nobody@example.com", False),
    ],
)
def test_addresses_to_log_in_with(client: Any, store: Store, ada: str, name: str, found: bool) -> None:
    for address in ("ada@bücher.example", "*@wild.example", "жанна@example.com"):
        store.addresses.create(ObjectId(ada), address, {})
    users = store.databases.users
    users["domainaliases"].insert_one({"alias": "alias.example", "domain": "bücher.example"})
    users["addresses"].insert_one(
        {"address": "team@example.com", "addrview": "team@example.com", "targets": []}
    )
    answer = login(client, username=name)
    assert answer.status_code == (200 if found else 403), answer.json
    assert answer.json.get("id") == (ada if found else None)
    assert answer.json.get("code") == (None if found else "AuthFailed")


def test_an_address_whose_account_is_gone_is_an_unknown_one(client: Any, store: Store) -> None:
    store.addresses.create(ObjectId(), "gone@example.com", {})
    answer = login(client, username="gone@example.com")
    assert (answer.status_code, answer.json["code"]) == (403, "AuthFailed")


@pytest.mark.parametrize(
    ("role", "shown"),
    [("root", True), ("manager", True), ("webmail", True), ("auth", False), ("tokenAuth", False)],
)
def test_only_who_may_look_accounts_up_is_told_their_id(
    client: Any, store: Store, ada: str, role: str, shown: bool
) -> None:
    headers = {"X-Access-Token": store.tokens.provision("program", role, secret=Rules().secret)}
    body = {"username": "ada", "password": "wrong"}
    answer = client.post("/authenticate", json=body, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (403, "AuthFailed")
    assert answer.json.get("id") == (ada if shown else None)


def test_who_may_log_people_in(client: Any, store: Store, ada: str) -> None:
    own = login(client, token=True).json["token"]
    body = {"username": "ada", "password": PASSWORD, "token": True}
    refused = client.post("/authenticate", json=body, headers={"X-Access-Token": own})
    assert (refused.status_code, refused.json["code"]) == (403, "MissingPrivileges")
    unknown = client.post("/authenticate", json=body, headers={"X-Access-Token": "0" * 40})
    assert (unknown.status_code, unknown.json["code"]) == (403, "InvalidToken")
    auth = {"X-Access-Token": store.tokens.provision("imap", "auth", secret=Rules().secret)}
    assert "token" not in client.post("/authenticate", json=body, headers=auth).json
    token_auth = {"X-Access-Token": store.tokens.provision("webmail", "tokenAuth", secret=Rules().secret)}
    assert "token" in client.post("/authenticate", json=body, headers=token_auth).json


def test_tokens_of_programs_outlive_a_log_out(client: Any, store: Store, ada: str) -> None:
    headers = {"X-Access-Token": store.tokens.provision("program", "root", secret=Rules().secret)}
    answer = client.delete("/authenticate?what=ever", headers=headers)
    assert (answer.status_code, answer.json) == (200, {"success": True})
    assert client.get(f"/users/{ada}", headers=headers).status_code == 200


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


def test_a_success_clears_the_failures(client: Any, ada: str) -> None:
    for _ in range(3):
        for _ in range(8):
            login(client, password="wrong")
        assert login(client).status_code == 200


def test_an_old_hash_is_replaced(client: Any, store: Store, ada: str) -> None:
    old = "$pbkdf2-sha256$i=100000$AAECAwQFBgcICQoLDA0ODw$trmn14eaJqetmcWSJJwUWVLKUOyf765hiEQzeYnvalM"
    change_user(store, ObjectId(ada), {}, more={"password": old})
    assert login(client, password="pässwörd").status_code == 200
    assert store.users.get(ObjectId(ada))["password"].startswith("$argon2id$")
    assert login(client, password="pässwörd").status_code == 200


def test_a_temporary_password_never_becomes_the_password(client: Any, store: Store, ada: str) -> None:
    old = "$1$saltsalt$NuzA7WTAelpl95xgBGWN60"
    now = store.clock()
    temporary = {"validAfter": now, "password": hash_password("temporary"), "created": now}
    change_user(store, ObjectId(ada), {}, more={"password": old, "tempPassword": temporary})
    answer = login(client, password="temporary")
    assert (answer.json["requirePasswordChange"], answer.json["require2fa"]) == (True, False)
    assert store.users.get(ObjectId(ada))["password"] == old
    assert login(client, password="temporary", scope="imap").json["code"] == "InvalidAuthScope"


@pytest.mark.parametrize(
    ("age", "ahead", "code"),
    [
        (23, 0, None),
        (25, 0, "AuthFailed"),
        (0, 2, "TempPasswordNotYetValid"),
        (30, 10, None),
        (35, 10, "AuthFailed"),
        (30, 40, "TempPasswordNotYetValid"),
    ],
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
    change_user(store, ObjectId(ada), {}, more={"tempPassword": temporary})
    assert login(client, password="t").json.get("code") == code
    assert bool(store.users.get(ObjectId(ada))["tempPassword"]) is (code != "AuthFailed")


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


def test_a_first_password_may_be_a_temporary_one(client: Any, make_user: Any) -> None:
    make_user("bob", requirePasswordChange=True)
    answer = login(client, username="bob")
    assert (answer.status_code, answer.json["requirePasswordChange"]) == (200, True)


def test_what_is_no_hash_matches_nothing(client: Any, store: Store, ada: str) -> None:
    change_user(store, ObjectId(ada), {}, more={"password": "plain text"})
    answer = login(client, password="plain text")
    assert (answer.status_code, answer.json["code"]) == (403, "AuthFailed")


def test_an_account_without_a_password_has_no_password(client: Any, make_user: Any) -> None:
    make_user("bob", password="")
    assert login(client, username="bob", password="x").json["code"] == "AuthFailed"


@pytest.mark.parametrize("scheme", ["argon2id", "bcrypt"])
def test_new_hashes_follow_the_setting(store: Store, ada: str, scheme: str) -> None:
    old = (
        "$6$saltstring$.r0X7ub5wGR2v4Xz7svCIozfnlorFh19V89t8KC9Umd81uGhFgsyTRNyzQDXDIm17fFcR9z3z7oBNdsyYBbtm/"
    )
    change_user(store, ObjectId(ada), {}, more={"password": old})
    body = {"username": "ada", "password": "correct horse", "scope": "master", "protocol": "API"}
    authenticate(call=Call(store=store, rules=Rules(password_scheme=scheme)), body=body)
    made = store.users.get(ObjectId(ada))["password"]
    assert made.startswith({"argon2id": "$argon2id$", "bcrypt": "$2b$"}[scheme])
    assert verify_password("correct horse", made)


def test_with_a_second_factor_no_token_comes_by_the_password_alone(
    client: Any, store: Store, ada: str
) -> None:
    change_user(store, ObjectId(ada), {}, more={"enabled2fa": ["totp", "u2f"]})
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
        ({"scope": "foo"}, {"scope"}),
        ({"appId": "no uri", "protocol": ""}, {"appId", "protocol"}),
        ({"what": 1}, {"what"}),
        ({"username": {"$gt": ""}}, {"username"}),
    ],
)
def test_bad_input(client: Any, ada: str, fields: dict[str, Any], at_fault: set[str]) -> None:
    answer = login(client, **fields)
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError")
    assert set(answer.json["details"]) == at_fault
