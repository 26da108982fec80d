"""SPF, DKIM and DMARC of incoming mail, with a DNS of the test's own."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from delivery.inbound.verification import Peer, verify
from mail.dkim import SigningKey, signature_header
from network.dns import DnsFault

RAW = b"From: Grace <grace@mail.example.com>\r\nTo: ada@example.net\r\nSubject: Hello\r\n\r\nDear Ada\r\n"
PEER = Peer("203.0.113.7", "mx.example.com", "bounce@example.com")


class Records:
    """A DNS that knows what it is given; `broken` names time out."""

    def __init__(self, records: dict[tuple[str, str], list[str]], broken: tuple[str, ...] = ()) -> None:
        self.records = records
        self.broken = broken

    def lookup(self, name: str, kind: str) -> list[str]:
        if name in self.broken:
            raise DnsFault(f"{name} timed out")
        return self.records.get((name, kind), [])


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def signed(key: rsa.RSAPrivateKey, raw: bytes = RAW, domain: bytes = b"example.com") -> bytes:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    signature: bytes = dkim.sign(raw, b"s1", domain, pem, include_headers=[b"From", b"Subject"])
    return signature + raw


def published(key: rsa.RSAPrivateKey) -> str:
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"v=DKIM1; k=rsa; p={b64encode(public).decode()}"


def test_all_three_pass(key: rsa.RSAPrivateKey) -> None:
    dns = Records(
        {
            ("example.com", "TXT"): ["other", "v=spf1 a mx:in.example.com ip4:203.0.113.0/24 -all"],
            ("s1._domainkey.example.com", "TXT"): [published(key)],
            ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=none; sp=reject"],
        }
    )
    assert verify(signed(key), PEER, dns) == {
        "spf": "example.com",
        "dkim": "example.com",
        "dmarc": {"domain": "mail.example.com", "policy": "reject"},
    }


def test_nobody_vouches() -> None:
    assert verify(RAW, PEER, Records({})) == {"spf": False, "dkim": False}


def test_what_was_changed_on_the_way_is_not_signed(key: rsa.RSAPrivateKey) -> None:
    dns = Records(
        {
            ("s1._domainkey.example.com", "TXT"): [published(key)],
            ("_dmarc.mail.example.com", "TXT"): ["v=DMARC1; p=quarantine"],
        }
    )
    changed = signed(key).replace(b"Dear Ada", b"Dear Eve")
    assert verify(changed, PEER, dns) == {
        "spf": False,
        "dkim": False,
        "dmarc": {"domain": False, "policy": "quarantine"},
    }


@pytest.mark.parametrize(("mode", "domain"), [("r", "mail.example.com"), ("s", False)])
def test_alignment(key: rsa.RSAPrivateKey, mode: str, domain: str | bool) -> None:
    dns = Records(
        {
            ("s1._domainkey.example.com", "TXT"): [published(key)],
            ("_dmarc.mail.example.com", "TXT"): [f"v=DMARC1; p=reject; adkim={mode}; aspf={mode}"],
        }
    )
    assert verify(signed(key), PEER, dns)["dmarc"]["domain"] == domain


def test_a_foreign_signature_is_told_but_does_not_align(key: rsa.RSAPrivateKey) -> None:
    dns = Records(
        {
            ("s1._domainkey.lists.example.org", "TXT"): [published(key)],
            ("_dmarc.mail.example.com", "TXT"): ["v=DMARC1; p=reject"],
        }
    )
    found = verify(signed(key, domain=b"lists.example.org"), PEER, dns)
    assert (found["dkim"], found["dmarc"]["domain"]) == ("lists.example.org", False)


@pytest.mark.parametrize(
    ("record", "passes"),
    [
        ("v=spf1 ip4:203.0.113.7 -all", True),
        ("v=spf1 a:out.example.com -all", True),
        ("v=spf1 mx -all", True),
        ("v=spf1 include:_spf.example.org -all", True),
        ("v=spf1 redirect=_spf.example.org", True),
        ("v=spf1 ~all", False),
        ("v=spf1 -all", False),
        ("v=spf1 include:example.com -all", False),
        ("v=spf1 nonsense:: -all", False),
    ],
)
def test_spf(record: str, passes: bool) -> None:
    dns = Records(
        {
            ("example.com", "TXT"): [record],
            ("example.com", "MX"): ["10 out.example.com."],
            ("out.example.com", "A"): ["203.0.113.7"],
            ("_spf.example.org", "TXT"): ["v=spf1 ip4:203.0.113.7 -all"],
        }
    )
    assert verify(RAW, PEER, dns)["spf"] == ("example.com" if passes else False)


def test_a_bounce_is_checked_by_the_name_of_the_host() -> None:
    dns = Records({("mx.example.com", "TXT"): ["v=spf1 ip4:203.0.113.7 -all"]})
    assert verify(RAW, Peer("203.0.113.7", "mx.example.com", ""), dns)["spf"] == "mx.example.com"


def test_a_dns_that_does_not_answer_vouches_for_nobody(key: rsa.RSAPrivateKey) -> None:
    broken = ("example.com", "s1._domainkey.example.com", "_dmarc.mail.example.com")
    assert verify(signed(key), PEER, Records({}, broken)) == {"spf": False, "dkim": False}


@pytest.mark.parametrize(
    "raw",
    [b"", b"\r\n", b"From: a@b, c@d\r\n\r\n", b"DKIM-Signature: v=1; a=x\r\n\r\nx", b"From: \xff\r\n\r\n"],
)
def test_any_message_has_a_result(raw: bytes) -> None:
    assert verify(raw, Peer("2001:db8::1", "x", "nobody"), Records({})) == {"spf": False, "dkim": False}


@pytest.mark.parametrize(
    ("filler", "domain"),
    [
        (b" " * 2000, "example.com"),
        (b"x" * 100_000, "example.com"),
        (b" " * 20_000, False),
        (b"\r\n" * 20_000, False),
        ((b"\t" * 3000 + b"x") * 40, False),
    ],
    ids=["some blanks", "long", "a run of blanks", "empty lines", "many runs"],
)
def test_nobody_keeps_the_server_busy_with_blanks(
    key: rsa.RSAPrivateKey, filler: bytes, domain: str | bool
) -> None:
    """The signature is good; it is not looked at where dkimpy would be at it for long."""
    dns = Records({("s1._domainkey.example.com", "TXT"): [published(key)]})
    raw = RAW + filler + b"end\r\n"
    field = signature_header(raw, SigningKey("example.com", "s1", key), datetime.now(UTC))
    assert verify(field + raw, PEER, dns)["dkim"] == domain
