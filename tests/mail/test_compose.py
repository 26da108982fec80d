"""Composed messages: a parser of another's making reads back what was meant, and no field says more than itself."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mail.compose import Attachment, ComposeError, Draft, Mailbox, compose
from mail.encodings import decode_content

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ADA, GRACE = Mailbox("Ada", "ada@example.com"), Mailbox("Grace", "grace@example.org")
SCRIPTS = (
    "Grüße aus Köln", "Привет, как дела", "こんにちは世界" * 12, "你好" * 40, "مرحبا بالعالم", "שלום עולם", "⚓️ 👩‍👩‍👧",
    "à̂" * 30, "a" * 2000,   "naïve, café; \"quoted\" (x) <y> [z] \\", "=?utf-8?q?already?=", "a" * 300, "word " * 60, 
    "ends with = ?", "Ünïcödé <x@y>",
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=120)
LOOSE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EVIL = "x\r\nBcc: evil@example.net\r\n\r\n<script>\x00\x85\u2028Cc: evil@example.net"


def draft(**fields: Any) -> Draft:
    return Draft(
        **{"sender": ADA, "date": NOW, "to": [GRACE], "subject": "Hello", "text": "Dear Grace", **fields}
    )


def parsed(**fields: Any) -> EmailMessage:
    raw = compose(draft(**fields))
    check_form(raw)
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def check_form(raw: bytes) -> None:
    """ASCII, CRLF alone, no line over 998 octets, in the header none over 78 where it could be folded (RFC 5322)."""
    assert raw.isascii()
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    header = raw.partition(b"\r\n\r\n")[0]
    assert all(len(line) <= 78 or b" " not in line.strip() for line in header.split(b"\r\n"))
    assert raw.endswith(b"\r\n")


def words(text: str) -> str:
    """As a reader sees it: blanks at the ends and their number within do not survive folding."""
    return " ".join(text.split())


def plain(part: Any) -> str:
    """The text of a part as it was given; how its lines end is the business of the message."""
    return str(part.get_content()).replace("\r\n", "\n").rstrip("\n")


def raw_header(found: EmailMessage, name: str) -> str:
    value = next(value for key, value in found.raw_items() if key.lower() == name)
    return str(value).replace("\r\n", "")


def people(found: EmailMessage, name: str) -> list[tuple[str, str]]:
    """Names and addresses of a list; the newer parser keeps the blanks between encoded words (RFC 2047 §6.2)."""
    pairs = getaddresses([raw_header(found, name)])
    return [(words(decoded(person)), address) for person, address in pairs]


def decoded(text: str) -> str:
    return str(make_header(decode_header(text)))


@pytest.mark.parametrize("text", SCRIPTS)
def test_every_script_in_subject_name_text_and_filename(text: str) -> None:
    found = parsed(
        subject=text,
        to=[Mailbox(text, "grace@example.org")],
        text=text,
        html=f"<p>{text.replace('<', '&lt;')}</p>",
        attachments=[Attachment(b"x", filename=f"{text}.bin")],
    )
    assert words(found["Subject"]) == words(text)
    assert people(found, "to") == [(words(text), "grace@example.org")]
    body = found.get_body(("plain",))
    assert body
    assert plain(body) == text
    assert body.get_content_charset() == "utf-8"
    (attachment,) = found.iter_attachments()
    if (
        "=?" not in text
    ):  # this parser takes encoded words for what they must not be in a parameter (RFC 2047 §5)
        assert words(attachment.get_filename()) == words(f"{text}.bin")


@LOOSE
@given(TEXT)
@example("=")
@example("?= =?utf-8?b?")
@example(" " * 90 + "x")
def test_any_subject_is_read_back(text: str) -> None:
    found = parsed(subject=text)
    if words(text):
        assert words(decoded(raw_header(found, "subject"))) == words(text)


@LOOSE
@given(TEXT)
@example('"')
@example("\\")
@example("a, b; c <d@e>")
def test_any_name_is_read_back_and_is_one_person(name: str) -> None:
    assert people(parsed(to=[Mailbox(name, "grace@example.org")]), "to") == [
        (words(name), "grace@example.org")
    ]


@LOOSE
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
@example("From me\n.\n..\nFrom you")
@example("x" * 3000)
@example("ends with blanks   \n\n\n")
@example("=20=\n=")
def test_any_text_is_read_back(text: str) -> None:
    body = parsed(text=text).get_body(("plain",))
    assert body
    wanted = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    assert plain(body) == wanted.rstrip("\n")


@LOOSE
@given(st.binary(max_size=300), TEXT)
def test_any_attachment_is_read_back(content: bytes, name: str) -> None:
    (attachment,) = parsed(attachments=[Attachment(content, filename=name)]).iter_attachments()
    assert attachment.get_payload(decode=True) == content
    assert attachment.get_content_disposition() == "attachment"


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": EVIL},
        {"sender": Mailbox(EVIL, "ada@example.com")},
        {"to": [Mailbox(EVIL, "grace@example.org")]},
        {"cc": [Mailbox(EVIL, "grace@example.org")]},
        {"reply_to": Mailbox(EVIL, "grace@example.org")},
        {"headers": [("X-Own", EVIL)]},
        {"headers": [("Message-ID", EVIL)]},
        {"headers": [("References", EVIL)]},
        {"attachments": [Attachment(b"x", filename=EVIL)]},
        {"attachments": [Attachment(b"x", content_type=EVIL)]},
        {"attachments": [Attachment(b"x", cid=EVIL)], "html": "<p>x</p>"},
    ],
)
def test_no_field_adds_one(fields: dict[str, Any]) -> None:
    found = parsed(**fields)
    for part in found.walk():
        names = [name.lower() for name in part.keys()]  # noqa: SIM118
        assert "bcc" not in names
        assert names.count("cc") <= ("cc" in fields)
    assert "evil@example.net" not in [p.addr_spec for p in found["To"].addresses]
    assert words(found.get_body(("plain",)).get_content()) == "Dear Grace"


@pytest.mark.parametrize("name", ["X Own", "X:Own", "X\r\nBcc", "", "Ünicode", "X" * 101])
def test_what_is_no_name_of_a_field(name: str) -> None:
    with pytest.raises(ComposeError) as caught:
        compose(draft(headers=[(name, "x")]))
    assert caught.value.path == "headers"


@pytest.mark.parametrize(
    "name",
    ["Bcc", "Content-Type", "content-transfer-encoding", "MIME-Version", "From", "Sender", "To", "Date"],
)
def test_further_fields_replace_nothing_that_is_decided(name: str) -> None:
    found = parsed(headers=[(name, "text/evil"), ("X-Own", "kept")])
    assert "text/evil" not in str(found)
    assert found["X-Own"] == "kept"


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({}, ["text/plain"]),
        ({"text": ""}, ["text/plain"]),
        ({"html": "<p>x</p>"}, ["multipart/alternative", "text/plain", "text/html"]),
        ({"text": "", "html": "<p>x</p>"}, ["multipart/alternative", "text/plain", "text/html"]),
        (
            {"html": "<p>x</p>", "attachments": [Attachment(b"x", "a.png", cid="c@x"), Attachment(b"y", "b.pdf")]},
            [
                "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
                "application/pdf",
            ],
        ),
        ({"text": "", "attachments": [Attachment(b"x", "a.pdf")]}, ["application/pdf"]),
        ({"attachments": [Attachment(b"x", "a.pdf")]}, ["multipart/mixed", "text/plain", "application/pdf"]),
    ],
)  # fmt: skip
def test_the_structure(fields: dict[str, Any], kinds: list[str]) -> None:
    assert [part.get_content_type() for part in parsed(**fields).walk()] == kinds


def test_the_fields_every_message_has() -> None:
    found = parsed(bcc=[Mailbox("", "secret@example.net")], reply_to=GRACE)
    assert found["Date"] == "Wed, 25 Nov 2026 12:00:00 +0000"
    assert found["Message-ID"].endswith("@example.com>")
    assert found["MIME-Version"] == "1.0"
    assert found["Bcc"] == "secret@example.net"
    assert found["Reply-To"] == "Grace <grace@example.org>"
    assert compose(draft()) != compose(draft()), "each message has an id of its own"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("text/calendar; charset=UTF-8; METHOD=request", 'text/calendar; charset="UTF-8"; method="request"'),
        ('text/plain; format=flowed; name="x.txt"', 'text/plain; format="flowed"'),
        ('text/plain; x="a\r\nBcc: b"; ünï=1', 'text/plain; x="a Bcc: b"'),
        ("image/png; ", "image/png"),
        ("multipart/mixed; boundary=x", "application/octet-stream"),
        ("message/rfc822; x=y", "application/octet-stream"),
        ("", "application/pdf"),
    ],
)
def test_the_type_of_an_attachment_keeps_its_parameters(given: str, wanted: str) -> None:
    found = parsed(attachments=[Attachment(b"x", "a.pdf", given)])
    (part,) = found.iter_attachments()
    assert part["Content-Type"] == wanted
    assert part.get_filename() == "a.pdf"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("r@example.org", "r@example.org"),
        ("Jürgen <r@example.org>, x@example.org", "Jürgen <r@example.org>, x@example.org"),
        ("nobody", None),
    ],
)
def test_answers_go_where_a_further_field_says(value: str, wanted: str | None) -> None:
    assert parsed(headers=[("reply-to", value)])["Reply-To"] == wanted
    assert parsed(headers=[("reply-to", value)], reply_to=GRACE)["Reply-To"] == "Grace <grace@example.org>"


def test_a_message_id_of_the_callers() -> None:
    for own in ("own@example.com", "<own@example.com>"):
        assert parsed(headers=[("Message-Id", own)])["Message-ID"] == "<own@example.com>"


def test_identification_fields_are_there_once() -> None:
    names = ("Message-ID", "References", "In-Reply-To", "X-Own")
    found = parsed(headers=[(name, f"<{n}@x>") for n in (1, 2) for name in names])
    assert [found.get_all(name) for name in names] == [["<1@x>"], ["<1@x>"], ["<1@x>"], ["<1@x>", "<2@x>"]]


def test_international_domains_are_sent_in_ascii() -> None:
    assert parsed(to=[Mailbox("", "a@grün.example")])["To"] == ("a@xn--grn-ioa.example")


def test_a_local_part_that_is_no_ascii_stays_as_it_is() -> None:
    """RFC 6532: it has no other form, and the relay asks for SMTPUTF8."""
    raw = compose(
        draft(sender=Mailbox("Jürgen", "jürgen@grün.example"), to=[Mailbox("", "grüße@example.org")])
    )
    header = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert "From: =?utf-8?q?J=C3=BCrgen?= <jürgen@xn--grn-ioa.example>" in header
    assert "To: grüße@example.org" in header


@pytest.mark.parametrize(
    ("content", "encoding", "wanted"),
    [
        ("aGk=", "base64", b"hi"),
        ("aGk", "base64", b"hi"),
        ("aGk=\r\n", "BASE64", b"hi"),
        ("6869", "hex", b"hi"),
        ("hé", "utf8", "hé".encode()),
        ("hé", "utf-8", "hé".encode()),
        ("hé", "latin1", b"h\xe9"),
        ("h", "utf16le", b"h\x00"),
    ],
)
def test_encodings_of_attachments(content: str, encoding: str, wanted: bytes) -> None:
    assert decode_content(content, encoding, "x") == wanted


@pytest.mark.parametrize(
    ("content", "encoding"), [("%%", "base64"), ("zz", "hex"), ("x", "rot13"), ("€", "latin1")]
)
def test_contents_that_are_not_what_they_say(content: str, encoding: str) -> None:
    with pytest.raises(ComposeError):
        decode_content(content, encoding, "attachments,0,content")
