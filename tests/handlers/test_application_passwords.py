"""getASPs, getASP, createASP, deleteASP."""

from __future__ import annotations

import plistlib
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from accounts.context import Rules
from accounts.profile_signing import profile_signer
from handlers.application_passwords import create_asp
from handlers.call import Call
from problems import Problem
from security.asps import selector
from security.passwords import verify_password
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import together

ASP = "owmlfwonfelqvewd"


def create(client: Any, user: str, **fields: Any) -> Any:
    return client.post(f"/users/{user}/asps", json={"description": "Phone", **fields})


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def test_one_is_made_shown_once_and_works(client: Any, store: Store, ada: str) -> None:
    made = create(client, ada, description=" Phone ", scopes=["smtp", "imap"]).json
    assert made.keys() == {"success", "id", "password"}
    (row,) = store.databases.users["asps"].find()
    assert verify_password(made["password"], row.pop("password"))
    assert row.pop("created") <= store.clock()
    assert row == {
        "_id": ObjectId(made["id"]), "user": ObjectId(ada), "description": "Phone", "scopes": ["imap", "smtp"],
        "selector": selector(made["password"]), "used": False, "authEvent": False, "authIp": False, "slot": 0,
    }  # fmt: skip
    login = {"username": "ada", "password": made["password"], "scope": "imap"}
    assert client.post("/authenticate", json=login).json["id"] == ada


def test_what_is_shown(client: Any, ada: str) -> None:
    made = [
        create(client, ada, description=name, **more).json for name, more in (("a", {}), ("b", {"ttl": "60"}))
    ]
    login = {"username": "ada", "password": made[0]["password"], "scope": "imap"}
    assert client.post("/authenticate", json=login).status_code == 200
    event = client.get(f"/users/{ada}/authlog?action=authentication").json["results"][0]
    used, ending = client.get(f"/users/{ada}/asps?showAll=yes").json["results"]
    assert client.get(f"/users/{ada}/asps").json == {"success": True, "results": [used]}
    assert client.get(f"/users/{ada}/asps/{ending['id'].upper()}").json == {"success": True, **ending}
    time = used["lastUse"].pop("time")
    assert time >= used.pop("created")
    assert used == {
        "id": made[0]["id"], "description": "a", "scopes": ["imap", "pop3", "smtp"], "lastUse": {"event": event["id"]},
    }  # fmt: skip
    assert ending.pop("expires") > ending.pop("created")
    assert ending == {
        "id": made[1]["id"], "description": "b", "scopes": ["imap", "pop3", "smtp"],
        "lastUse": {"time": False, "event": False},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scopes", "stored"),
    [
        (None, ["*"]),
        (["*", "imap"], ["*"]),
        (["smtp", "pop3", "imap"], ["*"]),
        (["smtp", "imap"], ["imap", "smtp"]),
        ("smtp, imap,", ["imap", "smtp"]),
        ("*", ["*"]),
    ],
)
def test_scopes(client: Any, store: Store, ada: str, scopes: Any, stored: list[str]) -> None:
    fields = {} if scopes is None else {"scopes": scopes}
    assert create(client, ada, **fields).status_code == 200
    assert store.asps.secrets(ObjectId(ada))[0]["scopes"] == stored


def test_a_password_of_the_callers_own(client: Any, ada: str) -> None:
    assert create(client, ada, password=ASP).json["password"] == ASP
    made = create(client, ada, password="", address="", ttl="").json["password"]
    assert len(made) == 16


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"description": " "}, {"description"}),
        ({"description": None}, {"description"}),
        ({"description": "x" * 256, "protocol": ""}, {"description", "protocol"}),
        ({"scopes": []}, {"scopes"}),
        ({"scopes": ["imap", "imap"]}, {"scopes"}),
        ({"scopes": "imap,ftp"}, {"scopes,1"}),
        ({"scopes": ["master"]}, {"scopes,0"}),
        ({"password": "tooshort", "address": "no"}, {"password", "address"}),
        ({"password": "aaaaaaaaaaaaaaaa"}, {"password"}),
        ({"ttl": -1}, {"ttl"}),
        ({"ttl": 1.5}, {"ttl"}),
        ({"ttl": 315_360_001}, {"ttl"}),
        ({"generateMobileconfig": "perhaps", "what": 1}, {"generateMobileconfig", "what"}),
        ({"sess": "", "ip": "x"}, {"sess", "ip"}),
        ({"password": {"$ne": ""}}, {"password"}),
    ],
)
def test_bad_input(client: Any, store: Store, ada: str, fields: dict[str, Any], at_fault: set[str]) -> None:
    assert details(create(client, ada, **fields)) == at_fault
    assert store.databases.users["asps"].count_documents({}) == 0


def test_callers_at_once_never_pass_the_limit(store: Store, ada: str) -> None:
    store.settings.put("const:asp:limit", 4)
    results = together(20, lambda _: create_asp(Call(store=store), ObjectId(ada), {"description": "Phone"}))
    assert sum(not isinstance(result, Problem) for result in results) == 4
    assert store.databases.users["asps"].count_documents({}) == 4
    assert store.databases.users["authlog"].find_one({"action": "create asp"})["events"] == 4


def test_beyond_the_limit(client: Any, store: Store, ada: str) -> None:
    store.settings.put("const:asp:limit", 1)
    first = create(client, ada).json["id"]
    answer = create(client, ada)
    assert (answer.status_code, answer.json["code"], answer.json["allowed"]) == (403, "TooMany", 1)
    client.delete(f"/users/{ada}/asps/{first}")
    assert create(client, ada).status_code == 200


def test_one_is_deleted_and_opens_nothing_more(client: Any, store: Store, ada: str) -> None:
    made = create(client, ada).json
    path = f"/users/{ada}/asps/{made['id']}"
    assert client.delete(path).json == {"success": True}
    login = {"username": "ada", "password": made["password"], "scope": "imap"}
    assert client.post("/authenticate", json=login).json["code"] == "AuthFailed"
    again = client.delete(path)
    assert (again.status_code, again.json["code"]) == (404, "AspNotFound")
    assert store.databases.users["authlog"].find_one({"action": "delete asp"})["events"] == 1


def test_what_is_not_there(client: Any, ada: str, make_user: Any) -> None:
    asp, bob = create(client, ada).json["id"], make_user("bob")
    for method, path, code in (
        ("GET", f"{ObjectId()}/asps", "UserNotFound"),
        ("POST", f"{ObjectId()}/asps", "UserNotFound"),
        ("GET", f"{ada}/asps/{ObjectId()}", "AspNotFound"),
        ("GET", f"{bob}/asps/{asp}", "AspNotFound"),
        ("DELETE", f"{bob}/asps/{asp}", "AspNotFound"),
    ):
        body = {"json": {"description": "Phone"}} if method == "POST" else {}
        answer = client.request(method, f"/users/{path}", **body)
        assert (answer.status_code, answer.json["code"]) == (404, code)
    assert details(client.get(f"/users/{ada}/asps/5?sess=")) == {"asp", "sess"}
    assert details(client.get(f"/users/{ada}/asps?showAll=perhaps")) == {"showAll"}
    assert details(client.delete(f"/users/{ada}/asps/5?protocol=")) == {"asp", "protocol"}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "asps"), ("POST", "asps"), ("GET", "asps/{asp}"), ("DELETE", "asps/{asp}")]
)
def test_who_may(client: Any, store: Store, ada: str, make_user: Any, method: str, path: str) -> None:
    asp = create(client, ada).json["id"]
    make_user("bob")
    login = {"username": "bob", "password": "correct horse battery", "token": True}
    tokens = {
        "0" * 40: "InvalidToken",
        store.tokens.provision("imap", "auth", secret=Rules().secret): "MissingPrivileges",
        client.post("/authenticate", json=login).json["token"]: "MissingPrivileges",
    }
    body = {"json": {"description": "Phone"}} if method == "POST" else {}
    for token, code in tokens.items():
        headers = {"X-Access-Token": token}
        answer = client.request(method, f"/users/{ada}/{path.format(asp=asp)}", headers=headers, **body)
        assert (answer.status_code, answer.json["code"]) == (403, code)
    login["username"] = "ada"
    headers = {"X-Access-Token": client.post("/authenticate", json=login).json["token"]}
    answer = client.request(method, f"/users/me/{path.format(asp=asp)}", headers=headers, **body)
    assert answer.status_code == 200


def verified(signed: bytes, certificate: bytes, folder: Path) -> Row:
    """The profile that a real OpenSSL finds in it, if it trusts the certificate."""
    (folder / "signed").write_bytes(signed)
    (folder / "trusted.pem").write_bytes(certificate)
    command = [
        "openssl",
        "cms",
        "-verify",
        "-inform",
        "DER",
        "-binary",
        "-in",
        "signed",
        "-CAfile",
        "trusted.pem",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(plistlib.loads(done.stdout))


def test_a_profile_for_apple_devices(client: Any, store: Store, ada: str, tmp_path: Path) -> None:
    answer = create(client, ada, generateMobileconfig=True, scopes=["smtp", "pop3"]).json
    assert (answer["name"], answer["address"]) == ("Ada Lovelace", "ada@example.com")
    row = store.signing_keys.find("profile")
    assert row
    profile = verified(b64decode(answer["mobileconfig"]), row["certificate"], tmp_path)
    (mail,) = profile["PayloadContent"]
    assert (profile["PayloadDisplayName"], profile["PayloadIdentifier"]) == (
        "Phone",
        f"com.email.mallard.{ada}",
    )
    assert (mail["IncomingPassword"], mail["EmailAccountType"]) == (answer["password"], "EmailTypePOP")
    assert b"ENCRYPTED" in row["key"]


def test_a_profile_of_another_address(client: Any, ada: str) -> None:
    client.post(f"/users/{ada}/addresses", json={"address": "a.l@bücher.example", "name": "Countess"})
    client.post(f"/users/{ada}/addresses", json={"address": "plain@example.com"})
    for given, shown in (
        ("A.L+x@xn--bcher-kva.example", ("Countess", "a.l@bücher.example")),
        ("plain@example.com", ("Ada Lovelace", "plain@example.com")),
    ):
        answer = create(client, ada, generateMobileconfig=True, address=given).json
        assert (answer["name"], answer["address"]) == shown


@pytest.mark.parametrize(
    "address", ["bob@example.com", "nobody@example.com", "team@example.com", "*@wild.example"]
)
def test_an_address_that_is_not_the_accounts_own(
    client: Any, store: Store, ada: str, make_user: Any, address: str
) -> None:
    make_user("bob")
    store.addresses.create(ObjectId(ada), "*@wild.example", {})
    store.databases.users["addresses"].insert_one(
        {"address": "team@example.com", "addrview": "team@example.com"}
    )
    for wanted in (True, False):
        answer = create(client, ada, generateMobileconfig=wanted, address=address)
        assert (answer.status_code, answer.json["code"]) == (404, "AddressNotFound")
    assert store.databases.users["asps"].count_documents({}) == 0


@pytest.mark.parametrize("scopes", [["imap"], ["smtp"], ["imap", "pop3"]])
def test_a_profile_needs_both_ways(client: Any, store: Store, ada: str, scopes: list[str]) -> None:
    answer = create(client, ada, generateMobileconfig=True, scopes=scopes)
    assert (answer.status_code, answer.json["code"]) == (400, "InvalidAuthScope")
    assert store.databases.users["asps"].count_documents({}) == 0


def test_all_processes_sign_with_the_same_key(store: Store) -> None:
    signers = together(4, lambda _: profile_signer(Call(store=store)))
    assert len({signer.certificate for signer in signers}) == 1


def test_a_key_of_another_secret_is_replaced(store: Store) -> None:
    before = profile_signer(Call(store=store)).certificate
    other = Call(store=store, rules=Rules(secret="another"))
    after = profile_signer(other).certificate
    assert before != after == profile_signer(other).certificate
