"""getDkimKeys, resolveDkim, updateDkimKey, getDkimKey, deleteDkimKey."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dkim
import pytest
from bson import ObjectId
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from flask import Flask

from mail.dkim import signature_header
from security.secrets import KeyRing, KeyRings
from server.contract.operations import Contract
from server.http.app import create_app
from server.settings.table import Settings
from storage.base.database import utc_now
from storage.store import Store
from tests.conftest import Client
from tests.rows import Row

SEED = b64encode(b"\x07" * 32).decode()
PUBLIC = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="
PEM = (
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=\n"
    "-----END PUBLIC KEY-----\n"
)
FINGERPRINT = (
    "1f:12:48:92:9e:0b:82:d2:02:90:28:c2:64:3a:74:19:65:7f:85:23:e1:05:bd:11:fe:3e:e8:43:bf:4d:5d:a1"
)
VALUE = f"v=DKIM1;k=ed25519;t=s;p={PUBLIC}"
MESSAGE = b"From: ada@example.com\r\nSubject: Hello\r\n\r\nDear Grace\r\n"
NO_KEY = "5d48a1f5fd1a4d1be0d4a1c1"


def put(client: Any, domain: str = "example.com", selector: str = "mail2026", **fields: Any) -> Any:
    return client.post("/dkim", json={"domain": domain, "selector": selector, "privateKey": SEED, **fields})


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def stored(store: Store) -> list[Row]:
    return list(store.databases.main["dkim"].find().sort("domain", 1))


def verifies(store: Store, domain: str, answer: Any) -> bool:
    """Whether dkimpy takes a signature of the stored key by the very record that the API says to publish."""
    key = store.dkim.signing_key(domain)
    assert key

    def look_up(name: bytes, timeout: int = 5) -> bytes:
        assert name.decode() == answer["dnsTxt"]["name"] + "."
        return b"".join(part.encode() for part in answer["dnsTxt"]["strings"])

    return bool(dkim.verify(signature_header(MESSAGE, key, utc_now()) + MESSAGE, dnsfunc=look_up))


def test_a_given_key_is_set(client: Any, store: Store) -> None:
    answer = put(client, " B\u00dcCHER.Example ", " Mail.2026 ", description=" for books ").json
    (row,) = stored(store)
    assert answer == {
        "success": True,
        "id": str(row["_id"]),
        "domain": "b\u00fccher.example",
        "selector": "Mail.2026",
        "description": "for books",
        "fingerprint": FINGERPRINT,
        "publicKey": PEM,
        "dnsTxt": {
            "name": "Mail.2026._domainkey.xn--bcher-kva.example",
            "value": VALUE,
            "strings": [VALUE],
        },
    }
    private = row.pop("privateKey")
    assert private.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert SEED not in str(answer)
    assert private not in str(answer)
    created, updated = row.pop("created"), row.pop("updated")
    assert created == updated
    assert row == {
        "_id": ObjectId(answer["id"]),
        "domain": "b\u00fccher.example",
        "selector": "Mail.2026",
        "publicKey": PEM,
        "publicKeyDer": PUBLIC,
        "fingerprint": FINGERPRINT,
        "description": "for books",
        "latest": True,
    }


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "rsa"),
        ({"privateKey": "  "}, "rsa"),
        ({"keyType": "rsa"}, "rsa"),
        ({"keyType": "ed25519", "privateKey": ""}, "ed25519"),
    ],
)
def test_a_key_is_made(client: Any, store: Store, fields: dict[str, Any], kind: str) -> None:
    answer = client.post("/dkim", json={"domain": "example.com", "selector": "s", **fields}).json
    key = store.dkim.signing_key("example.com")
    assert key
    assert key.algorithm == f"{kind}-sha256"
    assert answer["dnsTxt"]["value"].startswith(
        "v=DKIM1;t=s;p=M" if kind == "rsa" else "v=DKIM1;k=ed25519;t=s;p="
    )
    assert re.fullmatch("(?:[0-9a-f]{2}:){31}[0-9a-f]{2}", answer["fingerprint"])
    assert verifies(store, "example.com", answer)
    assert client.get(f"/dkim/{answer['id']}").json["dnsTxt"] == answer["dnsTxt"]


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_given_rsa_key(client: Any, store: Store, form: PrivateFormat) -> None:
    pem = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    answer = put(client, privateKey=f"\n{pem}\n").json
    assert stored(store)[0]["privateKey"] == pem.strip()
    assert len(answer["dnsTxt"]["strings"]) == 2
    assert verifies(store, "example.com", answer)


def test_the_key_of_all_other_domains(client: Any, store: Store) -> None:
    answer = put(client, "*").json
    assert (answer["domain"], answer["dnsTxt"]["name"]) == ("*", "mail2026._domainkey.*")
    assert client.get("/dkim/resolve/*").json == {"success": True, "id": answer["id"]}
    assert refusal(client.get("/dkim/resolve/example.com")) == (404, "DkimNotFound")
    key = store.dkim.signing_key("example.net")
    assert key
    assert key.domain == "example.net"


def test_a_new_key_takes_the_place_of_the_old(client: Any, store: Store) -> None:
    first = put(client, description="old").json
    created = stored(store)[0]["created"]
    other = b64encode(b"\x08" * 32).decode()
    second = put(client, "EXAMPLE.com", "new", privateKey=other, description="").json
    assert second["id"] == first["id"]
    assert second["fingerprint"] != first["fingerprint"]
    assert second["description"] == ""
    (row,) = stored(store)
    assert (row["selector"], row["created"]) == ("new", created)
    assert row["updated"] >= created
    assert "description" not in row
    assert verifies(store, "example.com", second)


def test_what_wildduck_reads_is_written_encrypted(
    mongo: Any, databases: Any, store: Store, settings: Settings, contract: Contract
) -> None:
    ring = KeyRing("a secret cat")
    secret = Store(mongo, databases, keys=KeyRings(dkim=ring))
    answer = put(Client(create_app(settings, secret, contract))).json
    private = stored(store)[0]["privateKey"]
    assert re.fullmatch(r"\$wd01\$aes-256-gcm\$[0-9a-f]{32}\$[0-9a-f]{24}\$[0-9a-f]{32}\$[0-9a-f]+", private)
    assert ring.decrypt(private).startswith("-----BEGIN PRIVATE KEY-----")
    assert verifies(secret, "example.com", answer)


def test_one_key_is_read(client: Any, store: Store) -> None:
    made = put(client, description="Signs since 2026").json
    answer = client.get(f"/dkim/{made['id'].upper()}").json
    created = answer.pop("created")
    assert answer == made
    assert created == stored(store)[0]["created"].isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_key_that_wildduck_stored_is_shown_rightly(client: Any, store: Store) -> None:
    row = {
        "domain": "example.com", "selector": "s", "privateKey": "$wd01$x", "publicKey": PEM, "publicKeyDer": PUBLIC,
        "fingerprint": FINGERPRINT, "created": utc_now(), "latest": True,
    }  # fmt: skip
    key = store.databases.main["dkim"].insert_one(row).inserted_id
    answer = client.get(f"/dkim/{key}").json
    assert answer["dnsTxt"]["value"] == VALUE
    assert answer["description"] == ""


def test_a_key_is_found_by_its_domain(client: Any) -> None:
    key = put(client, "b\u00fccher.example").json["id"]
    for name in ("b\u00fccher.example", "XN--BCHER-KVA.example", " B\u00dcCHER.example "):
        assert client.get(f"/dkim/resolve/{name}").json == {"success": True, "id": key}
    assert refusal(client.get("/dkim/resolve/example")) == (404, "DkimNotFound")
    assert details(client.get("/dkim/resolve/a..b")) == {"domain"}


def test_a_deleted_key_signs_no_more(client: Any, store: Store) -> None:
    key, other = put(client).json["id"], put(client, "example.net").json["id"]
    assert client.delete(f"/dkim/{key}").json == {"success": True}
    assert refusal(client.delete(f"/dkim/{key}")) == (404, "DkimNotFound")
    assert [str(row["_id"]) for row in stored(store)] == [other]
    assert store.dkim.signing_key("example.com") is None


def _pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, hidden: Any = None) -> str:
    return str(key.private_bytes(Encoding.PEM, form, hidden or NoEncryption()).decode())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "neither"),
        (SEED[:-4], "neither"),
        (b64encode(b"\7" * 33).decode(), "neither"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "can be read"),
        (_pem(generate_ec(SECP256R1())), "neither an RSA nor an Ed25519"),
        (_pem(generate_ec(SECP256R1()), PrivateFormat.TraditionalOpenSSL), "neither"),
        (_pem(generate_private_key(65537, 1024), hidden=BestAvailableEncryption(b"cat")), "encrypted"),
    ],
)
def test_keys_that_are_refused(client: Any, store: Store, text: str, reason: str) -> None:
    answer = put(client, privateKey=text)
    assert details(answer) == {"privateKey"}
    assert reason in answer.json["details"]["privateKey"]
    assert text not in answer.text
    assert stored(store) == []


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({}, {"domain", "selector"}),
        ({"domain": "", "selector": " "}, {"domain", "selector"}),
        ({"domain": None, "selector": 5, "privateKey": {"$ne": ""}}, {"domain", "selector", "privateKey"}),
        ({"domain": "*.example.com", "selector": "a_b"}, {"domain", "selector"}),
        ({"domain": "a b", "selector": "a..b"}, {"domain", "selector"}),
        ({"domain": "ada@example.com", "selector": "-a"}, {"domain", "selector"}),
        (
            {"domain": "x" * 254, "selector": "x" * 64, "description": "x" * 256},
            {"domain", "selector", "description"},
        ),
        (
            {"domain": "example.com", "selector": "s\u00e9", "privateKey": "x" * 65537},
            {"selector", "privateKey"},
        ),
        ({"domain": "example.com", "selector": "s", "keyType": "dsa"}, {"keyType"}),
        ({"domain": "example.com", "selector": "s", "keyType": "rsa", "privateKey": SEED}, {"keyType"}),
        ({"domain": "example.com", "selector": "s", "foo": 1, "ip": "x", "sess": ""}, {"foo", "ip", "sess"}),
    ],
)
def test_bad_input_names_the_fields_and_stores_nothing(
    client: Any, store: Store, fields: dict[str, Any], at_fault: set[str]
) -> None:
    assert details(client.post("/dkim", json=fields)) == at_fault
    assert stored(store) == []


@pytest.mark.parametrize("method", ["get", "delete"])
def test_unknown_keys(client: Any, method: str) -> None:
    request = getattr(client, method)
    assert refusal(request(f"/dkim/{ObjectId()}")) == (404, "DkimNotFound")
    assert details(request("/dkim/example.com")) == {"dkim"}
    assert details(request(f"/dkim/{ObjectId()}?foo=1")) == {"foo"}


def test_a_list_without_keys(client: Any) -> None:
    assert client.get("/dkim?unknown=1").json == {
        "success": True, "total": 0, "page": 1, "previousCursor": False, "nextCursor": False, "results": [],
    }  # fmt: skip


def test_listing_visits_each_key_once_in_both_directions(client: Any) -> None:
    made = {name: put(client, f"{name}.example", description=f"of {name}").json for name in "gcafdbe"}
    pages = [client.get("/dkim?limit=3").json]
    while cursor := pages[-1]["nextCursor"]:
        pages.append(client.get("/dkim", query_string={"limit": 3, "next": cursor}).json)
    rows = [[row["id"] for row in page["results"]] for page in pages]
    assert rows == [[made[name]["id"] for name in names] for names in ("abc", "def", "g")]
    assert [(page["page"], page["total"]) for page in pages] == [(1, 7), (2, 7), (3, 7)]
    first = pages[0]["results"][0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", first.pop("created"))
    names = ("id", "domain", "selector", "description", "fingerprint")
    assert first == {name: made["a"][name] for name in names}
    back = client.get("/dkim", query_string={"limit": 3, "previous": pages[2]["previousCursor"]})
    assert (back.json["results"], back.json["page"]) == (pages[1]["results"], 2)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("EXAMPLE", ["b\u00fccher.example", "example.com"]),
        ("xn--bcher-kva", ["b\u00fccher.example"]),
        ("*", ["*"]),
        (".*", []),
        ("$", []),
        ("", ["*", "b\u00fccher.example", "example.com"]),
    ],
)
def test_listing_looks_for_text_in_the_domain(client: Any, query: str, found: list[str]) -> None:
    for domain in ("*", "b\u00fccher.example", "example.com"):
        put(client, domain)
    answer = client.get("/dkim", query_string={"query": query}).json
    assert [row["domain"] for row in answer["results"]] == found
    assert answer["total"] == len(found)
    assert answer.get("query") == (query or None)


@pytest.mark.parametrize("query", ["limit=0", "limit=251", "next=abc", "next=bnVsbA", "query=" + "x" * 256])
def test_bad_listing_input(client: Any, query: str) -> None:
    assert details(client.get(f"/dkim?{query}")) == {query.partition("=")[0]}


def test_many_keys_asked_for_at_once(client: Any, app: Flask, store: Store) -> None:
    def make(number: int) -> Any:
        body = {"domain": f"d{number % 2}.example", "selector": f"s{number}", "keyType": "ed25519"}
        return Client(app).post("/dkim", json=body)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(make, range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json["fingerprint"] for answer in answers}) == 16
    rows = stored(store)
    assert [row["domain"] for row in rows] == ["d0.example", "d1.example"]
    assert {str(row["_id"]) for row in rows} == {answer.json["id"] for answer in answers}
    for row in rows:
        assert row["fingerprint"] in {
            a.json["fingerprint"] for a in answers if a.json["domain"] == row["domain"]
        }


OPERATIONS = [
    ("GET", "/dkim", {}),
    ("POST", "/dkim", {"json": {"domain": "example.com", "selector": "s", "privateKey": SEED}}),
    ("GET", "/dkim/resolve/example.com", {}),
    ("GET", f"/dkim/{NO_KEY}", {}),
    ("DELETE", f"/dkim/{NO_KEY}", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), OPERATIONS)
def test_who_may_not(
    as_caller: Callable[..., Any], store: Store, ada: str, method: str, path: str, options: dict[str, Any]
) -> None:
    assert refusal(as_caller(None).request(method, path, **options)) == (403, "InvalidToken")
    for caller in (as_caller("webmail"), as_caller("auth"), as_caller("user", ada)):
        assert refusal(caller.request(method, path, **options)) == (403, "MissingPrivileges")
    assert stored(store) == []
    assert as_caller("manager").request(method, path, **options).status_code in (200, 404)
