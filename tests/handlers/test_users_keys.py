"""What is known of an account's keys, and stored hashes that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store

BROKEN_KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nbroken"
BROKEN_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nbroken"


def write(store: Store, user: str, **fields: Any) -> None:
    """Change the account as another program does that shares the database."""
    store.databases.users["users"].update_one({"_id": ObjectId(user)}, {"$set": fields})


def test_a_key_that_wildduck_stored_is_looked_at_once(
    client: Any, store: Store, ada: str, pgp_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, ada, pubKey=pgp_key)
    info = client.get(f"/users/{ada}").json["keyInfo"]
    assert (info["name"], info["address"], len(info["fingerprint"])) == ("Ada", "ada@example.com", 40)
    monkeypatch.setattr("security.keys.run_gpg", None)
    assert client.get(f"/users/{ada}").json["keyInfo"] == info


def test_what_was_known_of_another_key_is_not_shown(
    client: Any, store: Store, ada: str, pgp_key: str
) -> None:
    client.put(f"/users/{ada}", json={"pubKey": pgp_key})
    write(store, ada, pubKey=BROKEN_KEY)
    shown = client.get(f"/users/{ada}").json
    assert shown["pubKey"] == BROKEN_KEY
    assert "keyInfo" not in shown
    write(store, ada, pubKey="")
    assert client.get(f"/users/{ada}").json["keyInfo"] is False


def test_broken_certificates_of_another_program_show_nothing(client: Any, store: Store, ada: str) -> None:
    write(store, ada, smimeCerts=[BROKEN_CERTIFICATE])
    for _ in range(2):
        assert client.get(f"/users/{ada}").json["smimeCertInfo"] == []


def test_a_stored_hash_of_no_known_format_is_no_fault_of_ours(client: Any, store: Store, ada: str) -> None:
    write(store, ada, password="nonsense")
    answer = client.put(f"/users/{ada}", json={"existingPassword": "x", "name": "y"})
    assert (answer.status_code, answer.json["code"]) == (400, "HashError")
