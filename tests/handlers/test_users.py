"""createUser, getUser, getUsers, resolveUser, updateUser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from handlers.call import Call
from handlers.users import create_user
from problems import Problem
from storage.store import Store

ACCOUNT = {"username": "ada.l", "password": "correct horse", "address": "Ada.L+x@Example.com"}


def create(client: Any, **fields: Any) -> Any:
    return client.post("/users", json={**ACCOUNT, **fields})


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def test_an_account_is_made_whole(client: Any, store: Store) -> None:
    user = create(client, name="Ada", tags=["b", "A", "a"], mailboxes={"sent": "Out"}, language="de_DE").json[
        "id"
    ]
    document = store.users.get(ObjectId(user))
    assert (document["username"], document["unameview"]) == ("ada.l", "adal")
    assert document["address"] == "ada.l@example.com"
    assert document["password"].startswith("$argon2id$")
    assert (document["tags"], document["tagsview"]) == (["A", "b"], ["a", "b"])
    assert (document["activated"], document["disabled"], document["authVersion"]) == (True, False, 1)
    boxes = {box["path"]: box.get("specialUse") for box in store.mailboxes.of_user(ObjectId(user))}
    assert boxes == {
        "INBOX": None, "Out": "\\Sent", "Papierkorb": "\\Trash", "Entwürfe": "\\Drafts", "Spam": "\\Junk",
    }  # fmt: skip
    address = store.addresses.resolve("adal@example.com")
    assert address
    assert address["user"] == ObjectId(user)
    assert store.databases.users["domaincache"].count_documents({"domain": "example.com"}) == 1
    assert store.databases.users["authlog"].find_one({"action": "account created"})["user"] == ObjectId(user)


def test_what_an_account_shows(client: Any) -> None:
    user = create(
        client, name="Ada", metaData={"a": 1}, internalData='{"b": 2}', targets=["x@example.org"]
    ).json["id"]
    shown = client.get(f"/users/{user}").json
    limits = shown.pop("limits")
    assert shown == {
        "success": True, "id": user, "username": "ada.l", "name": "Ada", "address": "ada.l@example.com",
        "language": None, "retention": False, "enabled2fa": [], "autoreply": False, "pubKey": "", "keyInfo": False,
        "smimeCerts": [], "smimeCipher": "AES-CBC", "smimeKeyTransport": "PKCS#1 v1.5", "smimeCertInfo": [],
        "encryptMessages": False, "encryptForwarded": False, "spamLevel": 50, "uploadSentMessages": False,
        "metaData": {"a": 1}, "internalData": {"b": 2}, "targets": ["x@example.org"], "tags": [],
        "fromWhitelist": [], "disabledScopes": [], "featureFlags": {}, "hasPasswordSet": True, "activated": True,
        "disabled": False, "suspended": False, "passwordPwned": False, "require2faEnabled": False,
        "requirePasswordChange": False,
    }  # fmt: skip
    assert limits["quota"] == {"allowed": 1_073_741_824, "used": 0}
    assert limits["recipients"] == {"allowed": 2000, "used": 0, "ttl": False}
    assert limits["filters"] == {"allowed": 400, "used": 0}


def test_an_account_that_a_wildduck_made_of_less(client: Any, store: Store) -> None:
    """What was not given is null, and large numbers are floating-point ones."""
    made = {
        "name": None,
        "language": None,
        "spamLevel": None,
        "targets": None,
        "tags": None,
        "retention": 2.592e9,
    }
    user = create(client).json["id"]
    store.databases.users["users"].update_one(
        {"_id": ObjectId(user)}, {"$set": {**made, "quota": 5_368_709_120.0}}
    )
    answer = client.get(f"/users/{user}")
    assert (answer.json["spamLevel"], answer.json["targets"], answer.json["tags"]) == (50, [], [])
    assert b'"retention": 2592000000,' in answer.data
    assert b'"allowed": 5368709120,' in answer.data


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"username": "no spaces"}, {"username"}),
        ({"username": None}, {"username"}),
        ({"password": 5, "quota": -1, "spamLevel": 101, "foo": 1}, {"password", "quota", "spamLevel", "foo"}),
        ({"name": ""}, {"name"}),
        ({"address": "ada@localhost"}, {"address"}),
        ({"address": "*@example.com"}, {"address"}),
        ({"targets": ["ada@example.com", "ftp://x"]}, {"targets,1"}),
        ({"tags": ["x", " "]}, {"tags,1"}),
        ({"mailboxes": {"sent": "a//b"}}, {"mailboxes,sent"}),
        ({"mailboxes": {"sent": "X", "trash": "X"}}, {"mailboxes,trash"}),
        ({"mailboxes": {"sent": "Trash"}}, {"mailboxes,sent"}),
        ({"mailboxes": {"drafts": "Papierkorb"}, "language": "de"}, {"mailboxes,drafts"}),
        ({"mailboxes": {"sent": "x" * 513}}, {"mailboxes,sent"}),
        ({"mailboxes": {"sent": "a" + "/a" * 128}}, {"mailboxes,sent"}),
        ({"mailboxes": {"sent": "inbox"}}, {"mailboxes,sent"}),
        ({"mailboxes": {"inbox": "X"}}, {"mailboxes,inbox"}),
        ({"disabledScopes": ["imap", "imap"]}, {"disabledScopes"}),
        ({"metaData": [1]}, {"metaData"}),
        ({"metaData": "nonsense"}, {"metaData"}),
        ({"fromWhitelist": ["foo"]}, {"fromWhitelist,0"}),
        ({"pubKey": "-----BEGIN PGP PUBLIC KEY BLOCK-----\nx"}, {"pubKey"}),
        ({"smimeCerts": ["-----BEGIN CERTIFICATE-----\nx"]}, {"smimeCerts"}),
        ({"mtaRelay": "https://x.example"}, {"mtaRelay"}),
        ({"retention": 2**53}, {"retention"}),
        ({"username": {"$ne": ""}}, {"username"}),
    ],
)
def test_bad_input_names_the_fields_and_changes_nothing(
    client: Any, store: Store, fields: dict[str, Any], at_fault: set[str]
) -> None:
    assert details(create(client, **fields)) == at_fault
    for name in ("users", "addresses", "mailboxes"):
        assert store.databases.main[name].count_documents({}) == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"username": "adal", "address": "other@example.com"}, "UserExistsError"),
        ({"username": "other", "address": "adal@example.com"}, "AddressExistsError"),
        ({"username": "other", "password": "x", "hashedPassword": True}, "HashError"),
    ],
)
def test_what_is_taken(client: Any, store: Store, fields: dict[str, Any], code: str) -> None:
    create(client)
    answer = create(client, **fields)
    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert store.databases.main["mailboxes"].count_documents({}) == 5


def test_50_at_once_make_one_account(store: Store) -> None:
    def one(number: int) -> str:
        body = {"username": "ada", "password": "", "address": f"ada{number}@example.com"}
        try:
            create_user(call=Call(store=store), body=body)
        except Problem as problem:
            return problem.code
        return "made"

    with ThreadPoolExecutor(16) as pool:
        outcomes = Counter(pool.map(one, range(50)))
    assert outcomes == {"made": 1, "UserExistsError": 49}
    assert store.databases.main["users"].count_documents({}) == 1
    assert store.databases.main["addresses"].count_documents({}) == 1
    assert store.databases.main["mailboxes"].count_documents({}) == 5


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"username": "ada@example.org", "address": ""}, None),
        ({"username": "ada@example.org"}, "ada@example.org"),
        ({"username": "ada", "emptyAddress": True}, ""),
    ],
)
def test_the_first_address(client: Any, fields: dict[str, Any], address: str | None) -> None:
    body = {"password": "", **fields}
    answer = client.post("/users", json=body)
    if address is None:
        assert details(answer) == {"address"}
        return
    assert client.get(f"/users/{answer.json['id']}").json["address"] == address


def test_names_are_found_without_dots(client: Any) -> None:
    user = create(client).json["id"]
    assert client.get("/users/resolve/a.d.a.l").json == {"success": True, "id": user}
    unknown = client.get("/users/resolve/nobody")
    assert (unknown.status_code, unknown.json["code"]) == (404, "UserNotFound")
    assert details(client.get("/users/resolve/no%20name")) == {"username"}


def test_listing_visits_each_account_once_in_both_directions(
    client: Any, make_user: Callable[..., ObjectId]
) -> None:
    made = [str(make_user(f"user{number}")) for number in range(7)]
    pages = [client.get("/users?limit=3").json]
    while pages[-1]["nextCursor"]:
        pages.append(client.get("/users", query_string={"limit": 3, "next": pages[-1]["nextCursor"]}).json)
    assert [row["id"] for page in pages for row in page["results"]] == made
    assert [page["page"] for page in pages] == [1, 2, 3]
    assert pages[0]["previousCursor"] is False
    back = client.get("/users", query_string={"limit": 3, "previous": pages[2]["previousCursor"]}).json
    assert back["results"] == pages[1]["results"]
    assert back["page"] == 2
    assert all(len(page["nextCursor"] or "") < 100 for page in pages)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("query=Ada", ["ada"]),
        ("query=.*", []),
        ("query=EXAMPLE.COM", ["ada", "bob"]),
        ("tags=red,blue", ["ada", "bob"]),
        ("requiredTags=red,BLUE", ["bob"]),
        ("tags=green", []),
        ("forward=ELSE", ["bob"]),
        ("unknown=1", ["ada", "bob"]),
    ],
)
def test_listing_filters(
    client: Any, make_user: Callable[..., ObjectId], query: str, names: list[str]
) -> None:
    make_user("ada", tags=["Red"])
    make_user("bob", tags=["red", "Blue"], targets=["https://somewhere-else.example/"])
    answer = client.get(f"/users?{query}").json
    assert [row["username"] for row in answer["results"]] == names
    assert answer["total"] == len(names)


@pytest.mark.parametrize(
    "cursor", ["abc", "bnVsbA", "W10", "eyIkb2lkIjoiNSJ9", "eyIkZ3QiOiAiIn0", "WyJ7fSIsIDJd", "x" * 1025]
)
def test_foreign_cursors_are_refused(client: Any, cursor: str) -> None:
    assert details(client.get("/users", query_string={"next": cursor})) == {"next"}


def test_a_cursor_of_an_older_client_is_read(client: Any, make_user: Callable[..., ObjectId]) -> None:
    first, second = make_user("ada"), make_user("bob")
    import base64

    raw = base64.urlsafe_b64encode(f'{{"$oid":"{first}"}}'.encode()).decode().rstrip("=")
    page = client.get("/users", query_string={"next": raw, "page": 2}).json
    assert [row["id"] for row in page["results"]] == [str(second)]
    assert page["page"] == 2


def test_an_update_changes_what_is_given_and_nothing_else(client: Any, store: Store) -> None:
    user = create(client, name="Ada", uploadSentMessages=True).json["id"]
    before = store.users.get(ObjectId(user))
    answer = client.put(f"/users/{user}", json={"name": "", "quota": "5e3", "tags": ["x"], "sess": "s"})
    assert answer.json == {"success": True}
    after = store.users.get(ObjectId(user))
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"name", "quota", "tags", "tagsview"}
    assert after["quota"] == 5000


def test_an_empty_update_is_fine(client: Any, store: Store) -> None:
    user = create(client).json["id"]
    before = store.users.get(ObjectId(user))
    assert client.put(f"/users/{user}", json={}).json == {"success": True}
    assert store.users.get(ObjectId(user)) == before


def test_a_new_password_ends_the_sessions(client: Any, app: Any, store: Store) -> None:
    user = create(client).json["id"]
    login = {"username": "ada.l", "password": "correct horse", "token": True}
    own, other = (client.post("/authenticate", json=login).json["token"] for _ in range(2))
    headers = {"X-Access-Token": own}
    change = {"password": "battery staple", "existingPassword": "correct horse"}
    assert client.put("/users/me", json=change, headers=headers).status_code == 200
    assert client.get("/users/me", headers=headers).status_code == 200
    assert client.get("/users/me", headers={"X-Access-Token": other}).json["code"] == "InvalidToken"
    assert client.post("/authenticate", json=login).json["code"] == "AuthFailed"
    assert len(store.users.get(ObjectId(user))["oldPasswords"]) == 1


def test_a_wrong_existing_password(client: Any) -> None:
    user = create(client).json["id"]
    answer = client.put(f"/users/{user}", json={"existingPassword": "wrong", "password": "new"})
    assert (answer.status_code, answer.json["code"]) == (403, "AuthFailed")


def test_guesses_at_the_existing_password_are_limited_like_those_of_log_in(client: Any, store: Store) -> None:
    user = create(client).json["id"]

    def attempt(password: str) -> str:
        change = {"existingPassword": password, "name": "Eve"}
        return str(client.put(f"/users/{user}", json=change).json.get("code", "changed"))

    assert [attempt("wrong") for _ in range(11)] == ["AuthFailed"] * 11
    assert attempt("correct horse") == "changed", "and failures count anew"
    assert [attempt("wrong") for _ in range(13)] == ["AuthFailed"] * 12 + ["RateLimitedError"]
    assert attempt("correct horse") == "RateLimitedError"
    login = {"username": "ada.l", "password": "correct horse"}
    assert client.post("/authenticate", json=login).json["code"] == "RateLimitedError"


def test_a_pgp_key_is_looked_at_once(client: Any, pgp_key: str) -> None:
    user = create(client, pubKey=pgp_key).json["id"]
    info = client.get(f"/users/{user}").json["keyInfo"]
    assert (info["name"], info["address"], len(info["fingerprint"])) == ("Ada", "ada@example.com", 40)
    client.put(f"/users/{user}", json={"pubKey": ""})
    assert client.get(f"/users/{user}").json["keyInfo"] is False


@pytest.mark.parametrize("method", ["get", "put"])
def test_unknown_accounts(client: Any, method: str) -> None:
    answer = client.request(
        method.upper(), f"/users/{ObjectId()}", **({"json": {"name": "x"}} if method == "put" else {})
    )
    assert (answer.status_code, answer.json["code"]) == (404, "UserNotFound")
    assert details(client.get("/users/me")) == {"user"}
    assert details(client.get("/users/123")) == {"user"}


def test_a_reset_of_the_counter_with_its_limit(client: Any, store: Store) -> None:
    user = create(client, recipients=5).json["id"]
    store.counters.add(f"wdr:{user}", 3, 5)
    client.put(f"/users/{user}", json={"recipients": 5})
    assert client.get(f"/users/{user}").json["limits"]["recipients"]["used"] == 3
    client.put(f"/users/{user}", json={"recipients": 6})
    assert client.get(f"/users/{user}").json["limits"]["recipients"]["used"] == 0
