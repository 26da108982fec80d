"""Configuration profiles, as a real OpenSSL and a real property list reader see them."""

from __future__ import annotations

import plistlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from security.pem import UnusableKey
from security.profile import (
    Account,
    ProfileRules,
    Server,
    Signer,
    build,
    load_signer,
    make_signer,
    sign,
    to_pem,
)
from tests.rows import Row

NOW = datetime.now(UTC)
ACCOUNT = Account("5d48a1f5fd1a4d1be0d4a1c1", "Ada <&> {email} $&", "ada@example.com", "owmlfwonfelqvewd")
RULES = ProfileRules(imap=Server("imap.example.com", 993, True), smtp=Server("smtp.example.com", 465, True))


def contents(scopes: list[str], title: str = "Phone") -> Row:
    return dict(plistlib.loads(build(RULES, ACCOUNT, scopes, title)))


def test_the_whole_profile() -> None:
    profile = contents(["*"])
    (mail,) = profile.pop("PayloadContent")
    uuids = {profile.pop("PayloadUUID"), mail.pop("PayloadUUID")}
    assert len(uuids) == 2
    shared = {
        "PayloadVersion": 1,
        "PayloadIdentifier": "com.email.mallard.5d48a1f5fd1a4d1be0d4a1c1",
        "PayloadOrganization": "Mallard Mail Services",
    }
    assert profile == {
        **shared, "PayloadType": "Configuration", "PayloadDisplayName": "Phone",
        "PayloadDescription": "Install this profile to set up ada@example.com",
    }  # fmt: skip
    assert mail == {
        **shared, "PayloadType": "com.apple.mail.managed", "PayloadDisplayName": "Email Account",
        "PayloadDescription": "Configures email account", "EmailAccountDescription": "Mallard (ada@example.com)",
        "EmailAccountName": "Ada <&> {email} $&", "EmailAccountType": "EmailTypeIMAP",
        "EmailAddress": "ada@example.com", "IncomingPassword": "owmlfwonfelqvewd",
        "OutgoingPasswordSameAsIncomingPassword": True, "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": "imap.example.com", "IncomingMailServerPortNumber": 993,
        "IncomingMailServerUseSSL": True, "IncomingMailServerUsername": "ada@example.com",
        "OutgoingMailServerAuthentication": "EmailAuthPassword", "OutgoingMailServerHostName": "smtp.example.com",
        "OutgoingMailServerPortNumber": 465, "OutgoingMailServerUseSSL": True,
        "OutgoingMailServerUsername": "ada@example.com", "PreventMove": False, "PreventAppSheet": False,
        "SMIMEEnabled": False, "allowMailDrop": True,
    }  # fmt: skip


def test_by_pop3_where_imap_is_not_open() -> None:
    (mail,) = contents(["pop3", "smtp"])["PayloadContent"]
    assert (mail["EmailAccountType"], mail["IncomingMailServerPortNumber"]) == ("EmailTypePOP", 9995)


def test_texts_of_the_account_fill_in_nothing_further() -> None:
    rules = ProfileRules(description=" {name}: {email}, {name} ")
    profile = plistlib.loads(build(rules, ACCOUNT, ["*"], ""))
    assert profile["PayloadDescription"] == "Ada <&> {email} $&: ada@example.com, Ada <&> {email} $&"
    assert profile["PayloadDisplayName"] == "Mallard Mail"


@pytest.mark.parametrize("name", ["Ada\x00\x07", "\ufffe", "]]>", "Жанна 日本 👩"])
def test_any_name_makes_a_profile_that_can_be_read(name: str) -> None:
    account = Account("5d48a1f5fd1a4d1be0d4a1c1", name, "ada@example.com", "owmlfwonfelqvewd")
    (mail,) = plistlib.loads(build(RULES, account, ["*"], name))["PayloadContent"]
    assert mail["EmailAccountName"] in (name, name.strip("\x00\x07\ufffe"))


def signed_by(key: Any, issuer: Signer | None = None) -> Signer:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer" if issuer else "root")])
    by = issuer.certificate.subject if issuer else name
    builder = (
        x509.CertificateBuilder(by, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW.replace(year=NOW.year - 1))
        .not_valid_after(NOW.replace(year=NOW.year + 1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Signer(key, certificate, [issuer.certificate] if issuer else [])


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


ROOT = signed_by(rsa_key())


@pytest.mark.parametrize(
    ("signer", "trusted"),
    [
        (made := make_signer("Example", NOW), made),
        (signed_by(rsa_key(), ROOT), ROOT),
        (signed_by(ec.generate_private_key(ec.SECP256R1()), ROOT), ROOT),
    ],
    ids=["of our own making", "RSA with a chain", "elliptic curve"],
)
def test_a_real_openssl_verifies_it(signer: Signer, trusted: Signer, tmp_path: Path) -> None:
    profile = build(RULES, ACCOUNT, ["*"], "Phone")
    (tmp_path / "signed.mobileconfig").write_bytes(sign(profile, signer))
    (tmp_path / "trusted.pem").write_bytes(trusted.certificate.public_bytes(Encoding.PEM))
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-binary", "-in", "signed.mobileconfig"]
    done = subprocess.run(
        [*command, "-CAfile", "trusted.pem", "-out", "profile"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "profile").read_bytes() == profile


def test_a_changed_one_does_not_verify(tmp_path: Path) -> None:
    signed = sign(build(RULES, ACCOUNT, ["*"], "Phone"), ROOT).replace(
        b"imap.example.com", b"evil.example.com"
    )
    (tmp_path / "signed").write_bytes(signed)
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-binary", "-noverify", "-in", "signed"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_a_key_comes_back_from_pem_with_its_password_alone() -> None:
    key, certificate = to_pem(ROOT, b"secret")
    assert b"ENCRYPTED" in key
    assert load_signer(key, certificate, b"secret").certificate == ROOT.certificate
    with pytest.raises(UnusableKey):
        load_signer(key, certificate, b"another")


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize(
    "key", [b"", b"nonsense", pem(rsa_key()), pem(ed25519.Ed25519PrivateKey.generate())],
    ids=["empty", "nonsense", "of another certificate", "of a kind that cannot sign"],
)  # fmt: skip
def test_keys_that_cannot_sign_are_refused(key: bytes) -> None:
    with pytest.raises(UnusableKey):
        load_signer(key, ROOT.certificate.public_bytes(Encoding.PEM))
