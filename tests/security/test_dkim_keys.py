"""DKIM keys: those that are taken, those that are not, what is published of them, and the fingerprint."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from security.dkim_keys import dns_strings, dns_value, generate, read
from security.pem import UnusableKey, fingerprint

SEED = b64encode(b"\x07" * 32).decode()
PUBLIC = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="
FINGERPRINT = (
    "1f:12:48:92:9e:0b:82:d2:02:90:28:c2:64:3a:74:19:65:7f:85:23:e1:05:bd:11:fe:3e:e8:43:bf:4d:5d:a1"
)


def pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes = b"") -> str:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, form, hidden).decode())


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_an_ed25519_seed() -> None:
    pair = read(f" {SEED}\n")
    assert pair.public_value == PUBLIC
    assert pair.fingerprint == FINGERPRINT
    assert pair.bits is None
    assert dns_value(pair.public) == f"v=DKIM1;k=ed25519;t=s;p={PUBLIC}"
    assert read(pair.private) == pair


def test_rsa_in_both_forms(rsa_key: rsa.RSAPrivateKey) -> None:
    modern, old = read(pem(rsa_key)), read(pem(rsa_key, PrivateFormat.TraditionalOpenSSL))
    assert modern.public == old.public
    assert modern.bits == 2048
    assert modern.fingerprint != old.fingerprint
    assert dns_value(modern.public) == f"v=DKIM1;t=s;p={modern.public_value}"
    assert modern.public_value == "".join(modern.public.splitlines()[1:-1])


def test_line_ends_do_not_change_the_fingerprint() -> None:
    text = read(SEED).private
    assert fingerprint(text.replace("\n", "\r\n")) == fingerprint(text.strip()) == FINGERPRINT


@pytest.mark.parametrize(("kind", "bits"), [("rsa", 2048), ("ed25519", None)])
def test_made_keys(kind: str, bits: int | None) -> None:
    pair = generate(kind)
    assert pair.bits == bits
    assert read(pair.private) == pair
    key = load_pem_private_key(pair.private.encode(), None)
    assert isinstance(key, Ed25519PrivateKey if kind == "ed25519" else rsa.RSAPrivateKey)
    assert pair.private not in repr(pair)


@pytest.mark.parametrize("bits", [1024, 4096])
def test_sizes_that_verifiers_take(bits: int) -> None:
    assert read(pem(rsa.generate_private_key(65537, bits))).bits == bits


def _broken(rsa_key: rsa.RSAPrivateKey) -> str:
    """Two of its lines are exchanged: a key by its form, and not by its numbers."""
    lines = pem(rsa_key).splitlines()
    lines[5], lines[6] = lines[6], lines[5]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "neither a private key in PEM"),
        ("hello", "neither a private key in PEM"),
        (b64encode(b"\7" * 33).decode(), "neither a private key in PEM"),
        (b64encode(b"\7" * 31).decode(), "neither a private key in PEM"),
        ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", "can be read"),
        ("-----BEGIN PRIVATE KEY-----\n" + "A" * 64 + "\n-----END PRIVATE KEY-----", "can be read"),
        ("-----BEGIN RSA PRIVATE KEY-----\nno end", "can be read"),
        ("-----BEGIN PRIVATE KEY-----\n\u00e4\ud800\n-----END PRIVATE KEY-----", "can be read"),
        (read(SEED).public, "neither a private key in PEM"),
    ],
)
def test_what_is_no_key(text: str, reason: str) -> None:
    with pytest.raises(UnusableKey, match=reason):
        read(text)


def test_keys_that_cannot_sign(rsa_key: rsa.RSAPrivateKey) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    for text, reason in [
        (pem(curve), "neither an RSA nor an Ed25519"),
        (pem(curve, PrivateFormat.TraditionalOpenSSL), "neither a private key in PEM"),
        (pem(ed448.Ed448PrivateKey.generate()), "neither an RSA nor an Ed25519"),
        (pem(rsa_key, password=b"cat"), "encrypted"),
        (pem(rsa_key, PrivateFormat.TraditionalOpenSSL, b"cat"), "encrypted"),
        (pem(rsa.generate_private_key(65537, 4104)), "4104 bits"),
        (_broken(rsa_key), "can be read"),
    ]:
        with pytest.raises(UnusableKey, match=reason):
            read(text)


def test_a_long_value_is_cut_for_dns(rsa_key: rsa.RSAPrivateKey) -> None:
    value = dns_value(read(pem(rsa_key)).public)
    strings = dns_strings(value)
    assert [len(part) for part in strings] == [255, len(value) - 255]
    assert "".join(strings) == value
    assert dns_strings("short") == ["short"]
