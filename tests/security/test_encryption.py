"""What is encrypted for a key is read back with it, by the programs that people use."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gnupg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from mail.encrypted import is_encrypted, wrap_pgp, wrap_smime
from mail.message import index
from mail.mime_tree import parse
from security.encryption import EncryptionFailed, encrypt_for_owner, encrypt_pgp, encrypt_smime, has_key
from tests.rows import Row

RAW = (
    b"Received: from a by b\r\nFrom: Grace <grace@example.com>\r\nTo: ada@example.com\r\nCc: c@example.com\r\n"
    b"Subject: A\r\n very long one\r\nMessage-ID: <1@x>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    b"H\xc3\xa4llo\r\n\r\n  end without line break"
)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> tuple[gnupg.GPG, str]:
    gpg = gnupg.GPG(gnupghome=str(tmp_path_factory.mktemp("gpg")))
    wanted = gpg.gen_key_input(
        key_type="RSA", key_length=2048, subkey_type="RSA", subkey_length=2048, name_real="Ada",
        name_email="ada@example.com", name_comment="", no_protection=True,
    )  # fmt: skip
    return gpg, str(gpg.export_keys(gpg.gen_key(wanted).fingerprint))


def outside(raw: bytes) -> Row:
    return dict(parse(raw).root["parsedHeader"])


def test_gpg_reads_the_same_bytes(keyring: tuple[gnupg.GPG, str]) -> None:
    gpg, key = keyring
    message = wrap_pgp(RAW, encrypt_pgp(RAW, key))
    document = index(message, datetime.now(UTC)).document
    assert [a["id"] for a in document["attachments"]] == ["ATT00001", "ATT00002"]
    assert not {"text", "html", "intro"} & document.keys()
    armored = message[message.index(b"-----BEGIN PGP") : message.index(b"-----END PGP MESSAGE-----") + 25]
    assert gpg.decrypt(armored).data == RAW


def test_what_stays_outside(keyring: tuple[gnupg.GPG, str]) -> None:
    headers = outside(wrap_pgp(RAW, encrypt_pgp(RAW, keyring[1])))
    assert is_encrypted(headers)
    assert headers["subject"] == "A very long one"
    assert not {"received", "cc"} & headers.keys()


def test_a_key_whose_empty_line_is_lost(keyring: tuple[gnupg.GPG, str]) -> None:
    gpg, key = keyring
    first, _, rest = key.partition("\n\n")
    assert gpg.decrypt(encrypt_pgp(b"x", first + "\r\n" + rest.replace("\n", "\r\n"))).data == b"x"


@pytest.mark.parametrize("key", ["", "no key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(EncryptionFailed):
        encrypt_pgp(b"x", key)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], tuple[str, Path]]:
    """`certificate(key)`: the certificate in PEM, and a file with certificate and key."""

    def make(key: Any) -> tuple[str, Path]:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ada")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        made = builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
        pem = made.public_bytes(serialization.Encoding.PEM)
        plain = serialization.NoEncryption()
        file = tmp_path_factory.mktemp("pem") / "own.pem"
        file.write_bytes(
            pem + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        )
        return pem.decode(), file

    return make


@pytest.mark.parametrize("cipher", ["AES-CBC", "AES-GCM"])
@pytest.mark.parametrize("transport", ["PKCS#1 v1.5", "OAEP"])
@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_openssl_reads_the_same_bytes(
    certificate: Callable[[Any], tuple[str, Path]], tmp_path: Path, cipher: str, transport: str, kind: str
) -> None:
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    pem, own = certificate(key)
    message = wrap_smime(RAW, encrypt_smime(RAW, [pem], cipher, transport), authenticated=cipher == "AES-GCM")
    assert is_encrypted(outside(message))
    (tmp_path / "in.eml").write_bytes(message)
    command = ["openssl", "cms", "-decrypt", "-binary", "-in", str(tmp_path / "in.eml"), "-recip", str(own)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == RAW


def test_any_of_several_certificates_reads_it(
    certificate: Callable[[Any], tuple[str, Path]], tmp_path: Path
) -> None:
    made = [
        certificate(rsa.generate_private_key(65537, 2048)),
        certificate(ec.generate_private_key(ec.SECP384R1())),
    ]
    (tmp_path / "in.der").write_bytes(encrypt_smime(RAW, [pem for pem, _ in made], "AES-CBC", "OAEP"))
    for _, own in made:
        command = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", str(tmp_path / "in.der")]
        done = subprocess.run([*command, "-recip", str(own)], capture_output=True, check=True)
        assert done.stdout == RAW


def test_what_is_no_certificate() -> None:
    with pytest.raises(EncryptionFailed):
        encrypt_smime(
            RAW, ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"], "AES-CBC", "OAEP"
        )


def test_a_message_is_encrypted_for_its_owner_once(
    certificate: Callable[[Any], tuple[str, Path]], tmp_path: Path
) -> None:
    pem, own = certificate(ec.generate_private_key(ec.SECP256R1()))
    owner = {"smimeCerts": [pem], "pubKey": "no key: certificates come first"}
    message = encrypt_for_owner(RAW.replace(b"\r\n", b"\n"), owner)
    assert is_encrypted(outside(message))
    (tmp_path / "in.eml").write_bytes(message)
    command = ["openssl", "cms", "-decrypt", "-binary", "-in", str(tmp_path / "in.eml"), "-recip", str(own)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == RAW
    assert encrypt_for_owner(message, owner) is message
    assert has_key(owner)
    assert not has_key({"smimeCerts": [], "pubKey": ""})
