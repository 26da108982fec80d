"""DKIM signatures, which dkimpy verifies; and that whoever changes what is signed breaks them."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mail.dkim import PrivateKey, SigningKey, body_hash, parse_key, signature_header

NOW = datetime(2026, 1, 2, tzinfo=UTC)
MESSAGE = (
    b"From: Ada <ada@example.com>\r\nTo: grace@example.org,\r\n\tbob@example.net\r\nSubject:  Hello   there \r\n"
    b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nX-Own: x\r\n\r\n"
    b"Dear  Grace, \t\r\n\r\n.\r\n \r\n\r\n"
)
EMPTY_HASH = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def make(private: PrivateKey) -> SigningKey:
    return SigningKey("example.com", "mail2026", private)


RSA_KEY, ED25519_KEY = make(generate_private_key(65537, 2048)), make(Ed25519PrivateKey.generate())
KEYS = pytest.mark.parametrize("key", [RSA_KEY, ED25519_KEY], ids=["rsa", "ed25519"])


def record(key: SigningKey) -> bytes:
    """What the key's owner publishes, not made by the code under test."""
    public = key.private.public_key()
    if isinstance(key.private, RSAPrivateKey):
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return b"v=DKIM1; t=s; p=" + b64encode(der)
    return b"v=DKIM1; k=ed25519; p=" + b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


def verifies(signed: bytes, key: SigningKey) -> bool:
    names: list[bytes] = []

    def look_up(name: bytes, timeout: int = 5) -> bytes:
        names.append(name)
        return record(key)

    good = bool(dkim.verify(signed, dnsfunc=look_up))
    assert names == [b"mail2026._domainkey.example.com."]
    return good


def sign(message: bytes, key: SigningKey) -> bytes:
    return signature_header(message, key, NOW) + message


def as_sent(message: bytes) -> bytes:
    """What SMTP carries: CRLF at all ends of lines, the last one included."""
    sent = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return sent if sent.endswith(b"\r\n") else sent + b"\r\n"


@KEYS
def test_dkimpy_verifies(key: SigningKey) -> None:
    header = signature_header(MESSAGE, key, NOW)
    assert verifies(header + MESSAGE, key)
    assert all(len(line) <= 78 for line in header.split(b"\r\n"))
    tags = dkim.util.parse_tag_value(header.removeprefix(b"DKIM-Signature:").strip())
    assert tags[b"a"] == key.algorithm.encode()
    assert tags[b"t"] == b"1767312000"
    assert b"".join(tags[b"h"].split()) == (
        b"from:from:to:to:cc:reply-to:subject:subject:in-reply-to:references:date:date:message-id:message-id:"
        b"mime-version:mime-version"
    )


@KEYS
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Dear", b"Near"),
        (b"Hello", b"Help"),
        (b"Subject:", b"Subject: Something else\r\nSubject:"),
        (b"From:", b"From: eve@example.com\r\nFrom:"),
        (b"X-Own:", b"Date: Fri, 2 Jan 2026 00:00:00 +0000\r\nX-Own:"),
        (b"X-Own:", b"Reply-To: eve@example.com\r\nX-Own:"),
        (b"X-Own:", b"Cc: eve@example.com\r\nX-Own:"),
        (b"X-Own:", b"MIME-Version: 1.0\r\nX-Own:"),
        (b"s=mail2026;", b"s=mail2026; l=0;"),
    ],
)
def test_a_change_on_the_way_shows(key: SigningKey, old: bytes, new: bytes) -> None:
    signed = sign(MESSAGE, key)
    assert old in signed
    assert not verifies(signed.replace(old, new, 1), key)


@KEYS
@pytest.mark.parametrize(
    ("old", "new"),
    [(b"X-Own: x", b"X-Own: y"), (b"Hello   there ", b"Hello there"), (b"Dear  Grace, \t", b"Dear Grace,")],
)
def test_what_relays_may_change_does_not(key: SigningKey, old: bytes, new: bytes) -> None:
    assert verifies(sign(MESSAGE, key).replace(old, new), key)


def test_another_key_does_not_verify() -> None:
    assert not verifies(sign(MESSAGE, ED25519_KEY), make(Ed25519PrivateKey.generate()))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b" \t\r\n \n", b""),
        (b"a", b"a\r\n"),
        (b"a\n\nb \n \n", b"a\r\n\r\nb\r\n"),
        (b" a\t\t b", b" a b\r\n"),
        (b"a\r\r\n\r\n", b"a\r\r\n"),
        (b"a\r \r\n", b"a\r\r\n"),
        (b"\r", b"\r\r\n"),
    ],
)
def test_a_body_in_its_relaxed_form(body: bytes, expected: bytes) -> None:
    assert body_hash(b"skipped" + body, 7) == sha256(expected).digest()


def test_a_message_without_a_body() -> None:
    header = signature_header(b"From: ada@example.com\r\n", RSA_KEY, NOW)
    assert EMPTY_HASH.encode() in header
    assert verifies(header + b"From: ada@example.com\r\n\r\n", RSA_KEY)


@pytest.mark.parametrize("size", [(1 << 18) - 2, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 1 << 19])
@pytest.mark.parametrize("filling", [b"a", b" ", b"\r\n", b"a \r\n", b"\n", b"\t\r\n", b"a  \t"])
def test_pieces_join_without_a_seam(filling: bytes, size: int) -> None:
    """By a plain writing of the rules: dkimpy takes minutes for long runs of blanks."""
    body = as_sent((filling * size)[:size] + b"end\r\n" + (b" \r\n" * size)[: size // 3 * 3])
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    relaxed = b"\r\n".join(lines).rstrip(b"\r\n") + b"\r\n"
    assert body_hash(body) == sha256(relaxed).digest()


@KEYS
def test_real_messages(corpus: list[Path], key: SigningKey) -> None:
    count = 0
    for file in corpus:
        message = as_sent(file.read_bytes())
        try:
            dkim.rfc822_parse(message)
        except dkim.MessageFormatError:
            signature_header(message, key, NOW)  # no error, though no verifier reads it
            continue
        header = signature_header(message, key, NOW)
        assert dkim.verify(header + message, dnsfunc=lambda name, timeout=5: record(key)), file
        count += 1
    assert count > 50


NAMES = st.sampled_from(
    [
        "From",
        "TO",
        "subject",
        "Date",
        "Message-Id",
        "Cc",
        "Sender",
        "List-Id",
        "Content-Type",
        "X-Other",
        "Received",
    ]
)
WORDS = st.text(st.sampled_from("ab:;=\t  \u00e9"), max_size=12)
BREAKS = st.sampled_from(["\r\n ", "\r\n\t", "\n  "])
VALUES = st.builds(lambda first, fold, second: f"{first}{fold}{second}x", WORDS, BREAKS, WORDS)
HEADERS = st.lists(st.builds("{}: {}\r\n".format, NAMES, VALUES), max_size=8)
PARTS = ["a", " ", "\t", "\n", "\r\n", "\r", ".", "b=", "\u00e9", "\0", "  \r\n"]
BODIES = st.lists(st.sampled_from(PARTS), max_size=30)


@KEYS
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=HEADERS, body=BODIES)
def test_invented_messages(key: SigningKey, headers: list[str], body: list[str]) -> None:
    message = f"From: ada@example.com\r\n{''.join(headers)}\r\n{''.join(body)}".encode()
    header = signature_header(message, key, NOW)
    assert verifies(header + as_sent(message), key)


@KEYS
@settings(max_examples=300, deadline=None)
@given(message=st.binary(max_size=200))
def test_any_bytes_are_signed(key: SigningKey, message: bytes) -> None:
    assert signature_header(message, key, NOW).endswith(b"\r\n")


@pytest.mark.parametrize(
    "message",
    [
        b"From: a@b\r\n\r\n" + b" " * 20_000_000 + b"x",
        b"From: a@b\r\n\r\n" + b"\r\n" * 10_000_000,
        b"From: a@b\r\n\r\n" + b"\r" * 20_000_000,
        b"From: a@b\r\n\r\n" + b"a \n" * 7_000_000,
        b"Subject: " + b" \r\n" * 2_000_000 + b"\r\n\r\n",
        b"To: x\r\n" * 100_000 + b"\r\n",
        b"a" * 20_000_000,
        b"\n " * 5_000_000,
    ],
    ids=["blanks", "empty lines", "bare CR", "blanks at ends", "folds", "many fields", "no field", "no name"],
)
def test_hostile_messages_take_time_by_their_size(message: bytes) -> None:
    started = time.process_time()
    signature_header(message, ED25519_KEY, NOW)
    assert time.process_time() - started < 5


def test_the_domain_of_the_key_is_named() -> None:
    key = SigningKey("xn--bcher-kva.example", "s", ED25519_KEY.private)
    assert b" d=xn--bcher-kva.example; s=s;" in signature_header(MESSAGE, key, NOW).replace(b"\r\n", b"")


def test_other_keys_are_refused() -> None:
    def pem(key: Any) -> str:
        return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())

    assert isinstance(parse_key(pem(ED25519_KEY.private)), Ed25519PrivateKey)
    for text, reason in (
        (pem(generate_ec(SECP256R1())), "RSA and Ed25519"),
        ("", "PEM"),
        ("-----BEGIN X", "PEM"),
    ):
        with pytest.raises(ValueError, match=reason):
            parse_key(text)


def test_a_key_does_not_show_itself() -> None:
    assert "private" not in repr(RSA_KEY)
