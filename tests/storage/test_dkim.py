"""DKIM keys at rest: which one signs, encryption, races, and how they are read."""

from __future__ import annotations

from typing import Any

import dkim as dkimpy
import pytest
from bson import ObjectId

from mail.dkim import signature_header
from problems import Problem
from security.dkim_keys import KeyPair, dns_value, generate
from security.secrets import KeyRing, KeyRings, SecretUnreadable
from storage.base.database import utc_now
from storage.base.paging import Paging
from storage.store import Store
from tests.storage.conftest import together
from tests.storage.plans import indexes, plans
from tests.storage.profiler import assert_indexed, profiled

ED = [generate("ed25519") for _ in range(3)]
MESSAGE = b"From: ada@example.com\r\nSubject: Hello\r\n\r\nDear Grace\r\n"


@pytest.fixture(autouse=True)
def _none(store: Store) -> None:
    store.databases.main["dkim"].delete_many({})


def with_key(store: Store, current: str, *older: str) -> Store:
    """The same database as a process sees it that has another encryption key."""
    return Store(store.databases.client, store.databases.names, keys=KeyRings(dkim=KeyRing(current, older)))


def put(store: Store, domain: str, pair: KeyPair = ED[0], selector: str = "s") -> ObjectId:
    return store.dkim.put(domain, selector, pair, store.dkim.keys.encrypt(pair.private), "")[0]


def signs(store: Store, domain: str) -> tuple[str, str, str] | None:
    """Domain and selector of the key that signs, and the value of the record that verifies it."""
    key = store.dkim.signing_key(domain)
    if key is None:
        return None
    signed = signature_header(MESSAGE, key, utc_now()) + MESSAGE
    values = [dns_value(pair.public) for pair in ED]
    good = [v for v in values if dkimpy.verify(signed, dnsfunc=lambda name, timeout=5, v=v: v.encode())]
    (value,) = good
    return key.domain, key.selector, value


def test_which_key_signs(store: Store) -> None:
    assert signs(store, "example.com") is None
    put(store, "example.com", ED[0], "own")
    assert signs(store, "EXAMPLE.com") == ("example.com", "own", dns_value(ED[0].public))
    assert signs(store, "sub.example.com") is None
    put(store, "*", ED[1], "any")
    assert signs(store, "example.com") == ("example.com", "own", dns_value(ED[0].public))
    assert signs(store, "b\u00fccher.example") == ("xn--bcher-kva.example", "any", dns_value(ED[1].public))
    assert signs(store, "xn--bcher-kva.example") == signs(store, "b\u00fccher.example")


def test_a_new_key_signs_at_once(store: Store) -> None:
    put(store, "example.com", ED[0])
    assert signs(store, "example.com") == ("example.com", "s", dns_value(ED[0].public))
    key = put(store, "example.com", ED[2], "new")
    assert signs(store, "example.com") == ("example.com", "new", dns_value(ED[2].public))
    store.dkim.delete(key)
    assert signs(store, "example.com") is None


def test_a_key_is_decrypted_once(store: Store) -> None:
    secret = with_key(store, "a secret cat")
    put(secret, "*")
    first = secret.dkim.signing_key("example.com")
    secret.dkim.keys = KeyRing("of no use any more")
    second = secret.dkim.signing_key("example.net")
    assert first
    assert second
    assert first.private is second.private


def test_private_keys_are_encrypted_and_the_key_can_be_changed(store: Store) -> None:
    put(with_key(store, "a secret cat"), "example.com")
    row = store.databases.main["dkim"].find_one({"domain": "example.com"})
    assert row
    assert row["privateKey"].startswith("$wd01$aes-256-gcm$")
    assert KeyRing("a secret cat").decrypt(row["privateKey"]) == ED[0].private
    assert signs(with_key(store, "another cat", "a secret cat"), "example.com")
    for wrong in (store, with_key(store, "another cat")):
        with pytest.raises(SecretUnreadable):
            wrong.dkim.signing_key("example.com")


@pytest.mark.parametrize("pair", ED[:2])
def test_what_wildduck_stored_signs(store: Store, pair: KeyPair) -> None:
    """In clear, in its present form and in the old one (AES-192-CBC)."""
    ring = KeyRing("a secret cat")
    for stored in (pair.private.strip(), ring.encrypt(pair.private), _old_form(pair.private)):
        store.databases.main["dkim"].replace_one(
            {"domain": "example.com"},
            {"domain": "example.com", "selector": "s", "privateKey": stored, "latest": True},
            upsert=True,
        )
        assert signs(with_key(store, "a secret cat"), "example.com") == (
            "example.com", "s", dns_value(pair.public),
        )  # fmt: skip


def _old_form(text: str) -> str:
    import subprocess

    command = ["openssl", "enc", "-aes-192-cbc", "-md", "md5", "-nosalt", "-pass"]
    done = subprocess.run(
        [*command, "pass:a secret cat"], input=text.encode(), capture_output=True, check=True
    )
    return f"${done.stdout.hex()}"


def test_one_key_a_domain_whoever_comes_together(store: Store) -> None:
    ids = together(32, lambda number: store.dkim.put("example.com", f"s{number}", ED[0], "x", ""))
    assert len({key for key, _ in ids}) == 1
    assert sorted(is_first for _, is_first in ids) == [False] * 31 + [True]
    assert store.databases.main["dkim"].count_documents({}) == 1


def test_reads_use_indexes_and_leave_the_private_key(store: Store) -> None:
    for number in range(30):
        put(store, f"d{number:02}.example")
    key = put(store, "*")

    def work() -> None:
        store.dkim.signing_key("d07.example")
        store.dkim.id_of("d07.example")
        store.dkim.get(key)

    found = plans(store, work)
    assert len(found) == 3
    for plan in found:
        assert indexes(plan) <= {"dkim_primary", "dkim_paging", "_id_"}
    for paging, text in ((Paging(limit=3), ""), (Paging(limit=3), "d0")):
        entries = profiled(store.databases.main, "dkim", lambda p=paging, t=text: store.dkim.page(t, p))
        pages = [entry for entry in entries if "find" in entry["command"]]
        (entry,) = pages
        assert_indexed(entry, most=4)
        assert "privateKey" not in entry["command"]["projection"]
    rows: list[Any] = store.dkim.page("", Paging())[0].rows
    assert not any("privateKey" in row or "publicKey" in row for row in rows)


def test_unknown_keys(store: Store) -> None:
    for look in (
        lambda: store.dkim.get(ObjectId()),
        lambda: store.dkim.delete(ObjectId()),
        lambda: store.dkim.id_of("$ne"),
    ):
        with pytest.raises(Problem, match="DkimNotFound"):
            look()


def test_a_renamed_domain_takes_its_key_along(store: Store) -> None:
    put(store, "example.com", ED[0], "own")
    assert store.domain_rename.run("example.com", "example.org").dkim == 1
    assert signs(store, "example.org") == ("example.org", "own", dns_value(ED[0].public))
