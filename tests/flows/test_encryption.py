"""Encryption through the API as it runs in production: in a gevent worker, where not every thread may start gpg."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from mail.encrypted import is_encrypted
from mail.mime_tree import parse

RAW = "From: grace@example.com\r\nTo: ada@example.com\r\nSubject: Secret\r\n\r\nThe engine works.\r\n"


class Account:
    """An account of a running server."""

    def __init__(self, base: str, name: str, **fields: Any) -> None:
        self.base = base
        body = {"username": name, "password": "correct horse", "address": f"{name}@example.com", **fields}
        self.url = f"{base}/users/{self.post('/users', body)['id']}"
        self.boxes = {box["path"]: box["id"] for box in self.get("/mailboxes")["results"]}

    def post(self, path: str, body: Any) -> Any:
        answer = requests.post(path if "://" in path else self.base + path, json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        return requests.get(self.url + path, timeout=60).json()

    def put(self, path: str, body: Any) -> None:
        answer = requests.put(self.url + path, json=body, timeout=60)
        assert answer.status_code == 200, answer.text

    def is_encrypted(self, mailbox: str, uid: int) -> bool:
        """Return whether a message is stored so that nobody but the owner reads it."""
        source = requests.get(
            f"{self.url}/mailboxes/{mailbox}/messages/{uid}/message.eml", timeout=60
        ).content
        encrypted = is_encrypted(parse(source).root["parsedHeader"])
        assert encrypted == (b"The engine works" not in source)
        return encrypted

    def upload(self, mailbox: str, **fields: Any) -> int:
        place = self.post(f"{self.url}/mailboxes/{self.boxes[mailbox]}/messages", {"raw": RAW, **fields})
        return int(place["message"]["id"])


@pytest.fixture(scope="module")
def smime_certificate() -> str:
    """A certificate in PEM that mail can be encrypted for."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ada")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    made = builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def keys(pgp_key: str, smime_certificate: str) -> dict[str, dict[str, Any]]:
    return {"pgp": {"pubKey": pgp_key}, "smime": {"smimeCerts": [smime_certificate]}}


@pytest.fixture(scope="module")
def base(serve_all: Any) -> str:
    return str(serve_all().base)


@pytest.mark.parametrize("kind", ["pgp", "smime"])
def test_every_way_into_an_encrypting_account(base: str, keys: dict[str, Any], kind: str) -> None:
    ada = Account(base, f"ada{kind}", encryptMessages=True, **keys[kind])
    assert ada.is_encrypted(ada.boxes["INBOX"], ada.upload("INBOX"))
    sent = ada.post(
        f"{ada.url}/submit", {"to": [{"address": "grace@example.com"}], "text": "The engine works."}
    )
    assert ada.is_encrypted(sent["message"]["mailbox"], sent["message"]["id"])
    draft = ada.upload("Drafts", draft=True)
    path = f"{ada.url}/mailboxes/{ada.boxes['Drafts']}/messages/{draft}/submit"
    copy = ada.post(path, {})["message"]
    assert ada.is_encrypted(copy["mailbox"], copy["id"])


@pytest.mark.parametrize("kind", ["pgp", "smime"])
def test_an_encrypting_mailbox_takes_uploads_and_moves(base: str, keys: dict[str, Any], kind: str) -> None:
    ada = Account(base, f"box{kind}", **keys[kind])
    vault = ada.boxes["Vault"] = ada.post(f"{ada.url}/mailboxes", {"path": "Vault"})["id"]
    ada.put(f"/mailboxes/{vault}", {"encryptMessages": True})
    assert ada.is_encrypted(vault, ada.upload("Vault"))
    inbox = ada.boxes["INBOX"]
    uid = ada.upload("INBOX")
    assert not ada.is_encrypted(inbox, uid)
    ada.put(f"/mailboxes/{inbox}/messages/{uid}", {"moveTo": vault})
    moved = ada.get(f"/mailboxes/{vault}/messages?order=desc")["results"][0]["id"]
    assert ada.is_encrypted(vault, moved)
