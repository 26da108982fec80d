"""Certificates: what is read of them, which key is theirs, and which are no part of a chain."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat

from security.certificates import check_pair, covers, read_chain, read_key, strangers
from security.pem import UnusableKey
from tests.authority import BETWEEN, KINDS, ROOT, issue, new_key, pem

ADA = issue("mail.example.com", by=BETWEEN)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_and_its_certificate(kind: str) -> None:
    made = issue("mail.example.com", by=BETWEEN, kind=kind)
    key, chain = read_key(f"\n{made.key_pem}\n"), read_chain(f" {made.pem}\n{BETWEEN.pem} ")
    check_pair(key, chain)
    assert key.pem == made.key_pem
    assert chain.expires == made.certificate.not_valid_after_utc
    assert chain.names == ["mail.example.com"]
    assert len(chain.certificates) == 2
    assert made.key_pem not in repr(key)


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("rsa", PrivateFormat.TraditionalOpenSSL),
        ("ec", PrivateFormat.TraditionalOpenSSL),
        ("ec", PrivateFormat.PKCS8),
    ],
)
def test_forms_of_keys(kind: str, form: PrivateFormat) -> None:
    key = new_key(kind)
    assert read_key(pem(key, form)).private.public_key() == key.public_key()


def test_keys_that_are_refused() -> None:
    for text, reason in [
        ("", "not a private key"),
        ("hello", "not a private key"),
        (ADA.pem, "not a private key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "can be read"),
        ("-----BEGIN RSA PRIVATE KEY-----", "can be read"),
        (pem(new_key(), password=b"cat"), "encrypted"),
        (pem(new_key("rsa"), PrivateFormat.TraditionalOpenSSL, b"cat"), "encrypted"),
        (pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
        (pem(ed448.Ed448PrivateKey.generate()), "neither an RSA"),
    ]:
        with pytest.raises(UnusableKey, match=reason):
            read_key(text)


def test_certificates_that_are_refused() -> None:
    for text, reason in [
        ("", "not a certificate in PEM"),
        (ADA.key_pem, "not a certificate in PEM"),
        (f"Bag attributes\n{ADA.pem}", "not a certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "can be read"),
        (ADA.pem[:-40], "can be read"),
        (f"{ADA.pem}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "can be read"),
        ("\n".join([ADA.pem] * 33), "more than 32"),
    ]:
        with pytest.raises(UnusableKey, match=reason):
            read_chain(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_another_certificate(kind: str) -> None:
    with pytest.raises(UnusableKey, match="not the certificate of the key"):
        check_pair(read_key(pem(new_key(kind))), read_chain(ADA.pem))


def test_the_own_certificate_comes_first() -> None:
    with pytest.raises(UnusableKey, match="not as the first"):
        check_pair(read_key(ADA.key_pem), read_chain(f"{BETWEEN.pem}\n{ADA.pem}"))


def test_names_are_normalized_and_in_order() -> None:
    others: list[x509.GeneralName] = [x509.RFC822Name("ada@example.com")]
    made = issue(
        "MAIL.example.com", "xn--bcher-kva.example", "*.example.com", "10.0.0.1", "2001:db8::7", "mail.example.com",
        others=others,
    )  # fmt: skip
    assert read_chain(made.pem).names == [
        "mail.example.com", "b\u00fccher.example", "*.example.com", "10.0.0.1", "2001:db8::7",
    ]  # fmt: skip


def test_the_common_name_stands_in() -> None:
    assert read_chain(issue(common_name="Mail.Example.com").pem).names == ["mail.example.com"]


def test_what_a_wildcard_covers() -> None:
    names = ["*.example.com", "example.net"]
    assert covers(names, "imap.example.com")
    assert covers(names, "example.net")
    for other in ("example.com", "a.b.example.com", "imap.example.net", "localhost"):
        assert not covers(names, other)


def test_strangers_in_a_chain() -> None:
    other = issue(ca=True, common_name="Test Between")  # the same name and another key
    whole = read_chain(f"{ADA.pem}\n{BETWEEN.pem}")
    root, between, stranger = (read_chain(each.pem) for each in (ROOT, BETWEEN, other))
    assert strangers(whole, []) == []
    assert strangers(whole, [root]) == []
    assert strangers(read_chain(f"{ADA.pem}\n{ROOT.pem}\n{BETWEEN.pem}"), []) == []
    assert strangers(read_chain(ADA.pem), [root, between]) == []
    assert strangers(read_chain(ADA.pem), [root]) == [0]
    assert strangers(whole, [root, stranger]) == [1]
    assert strangers(read_chain(f"{ADA.pem}\n{other.pem}"), []) == [-1]
    assert strangers(whole, [read_chain(ADA.pem)]) == [0]
