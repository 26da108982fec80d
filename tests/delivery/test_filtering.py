"""Which filters match a message, and what comes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from delivery.inbound.filtering import Place, Source, Verdict, decide, incoming, matches
from mail.message import index
from tests.storage.conftest import with_attachment

MAIL = (
    "Delivered-To: Ada+Work@Example.com\r\nFrom: =?utf-8?q?Gr=C3=A4ce?= <grace@navy.example>\r\n"
    "Sender: office@navy.example\r\nTo: list@example.org\r\nCc: Carol <carol@example.org>\r\n"
    "Bcc: dave@example.org\r\nReply-To: reply@example.org\r\nSubject: Minutes of\r\n  the   meeting\r\n"
    "List-Id: Some list <some.list.example>\r\n{more}\r\n{text}"
)
BOX, OTHER = ObjectId(), ObjectId()


def message(text: str = "Dear Ada,\r\nsee you Today.", more: str = "") -> Any:
    raw = MAIL.format(text=text, more=more).encode()
    return incoming(index(raw, datetime(2026, 11, 24, tzinfo=UTC)).document)


def stored(query: dict[str, Any] | None = None, action: dict[str, Any] | None = None, **fields: Any) -> Any:
    return {"_id": ObjectId(), "query": query or {"headers": {}}, "action": action or {}, **fields}


@pytest.mark.parametrize(
    ("header", "value", "found"),
    [
        ("from", "GRÄCE", True),
        ("from", "office@", True),
        ("from", "reply@", False),
        ("to", "list@example.org", True),
        ("to", "carol", True),
        ("to", "ada+work@example", True),
        ("to", "dave", False),
        ("subject", "minutes of the meeting", True),
        ("subject", "the  Meeting", True),
        ("subject", "minute$", False),
        ("listId", "some.list", True),
        ("listId", "Any <SOME.list.example> name", True),
        ("listId", "<other.example>", False),
        ("cc", "carol", False),
    ],
)
def test_headers(header: str, value: str, found: bool) -> None:
    assert matches({"headers": {header: value}}, message()) is found


def test_a_header_that_is_missing_never_matches() -> None:
    bare = incoming(index(b"Subject: x\r\n\r\n", datetime(2026, 11, 24, tzinfo=UTC)).document)
    assert not matches({"headers": {"from": "x"}}, bare)
    assert matches({"headers": {"subject": "X"}}, bare)


@pytest.mark.parametrize(("ha", "with_one", "without"), [
    (True, True, False), (False, False, True), (1, True, False), (-1, False, True), (0, True, True), (None, True, True),
])  # fmt: skip
def test_attachments(ha: Any, with_one: bool, without: bool) -> None:
    attached = incoming(index(with_attachment(), datetime(2026, 11, 24, tzinfo=UTC)).document)
    assert [matches({"ha": ha}, attached), matches({"ha": ha}, message())] == [with_one, without]


def test_a_picture_in_the_text_is_no_attachment() -> None:
    raw = (
        b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src=cid:a>"
        b"\r\n--b\r\nContent-Type: image/png\r\nContent-Id: <a>\r\n\r\nx\r\n--b--\r\n"
    )
    assert not matches({"ha": True}, incoming(index(raw, datetime(2026, 11, 24, tzinfo=UTC)).document))


def test_sizes_include_the_number_itself() -> None:
    size = message().size
    found = [matches({"size": wanted}, message()) for wanted in (size, size + 1, -size, -size + 1, 0)]
    assert found == [True, False, True, False, True]


def test_text() -> None:
    assert matches({"text": "ada, see YOU today"}, message()) is True
    assert matches({"text": '"ada, see   you"'}, message()) is True
    assert matches({"text": '"see ada"'}, message()) is False
    far = "x " * 20_000 + "needle"
    assert matches({"text": "Needle"}, message(far)) is True
    html = "MIME-Version: 1.0\r\nContent-Type: text/html\r\n"
    assert matches({"text": '"big deal"'}, message("<b>Big</b> deal", html)) is True
    alone = "Content-Type: multipart/alternative; boundary=b\r\n"
    part = "--b\r\nContent-Type: text/html\r\n\r\n<b>Big</b> deal\r\n--b--\r\n"
    assert matches({"text": '"big deal"'}, message(part, alone)) is True


def test_all_conditions_must_hold() -> None:
    query = {"headers": {"from": "grace", "subject": "minutes"}, "text": "ada", "ha": False, "size": 10}
    assert matches(query, message())
    for wrong in ({"headers": {"from": "grace", "subject": "x"}}, {"text": "x"}, {"ha": True}, {"size": -10}):
        assert not matches({**query, **wrong}, message())
    assert matches({"headers": {}}, message())


def test_all_that_match_count_in_the_order_they_were_made() -> None:
    no, first, second, off = (
        stored({"text": "absent"}, {"flag": True}),
        stored(None, {"seen": False, "spam": None, "targets": [{"value": "A@x.example"}]}),
        stored(None, {"seen": True, "flag": True, "mailbox": BOX, "targets": [
            {"value": "a@X.example"}, {"value": "smtp://x"}]}),
        stored(None, {"delete": True}, disabled=True),
    )  # fmt: skip
    last = stored(None, {"mailbox": OTHER})
    assert decide([last, off, second, no, first], message()) == Verdict(
        matched=(first["_id"], second["_id"], last["_id"]), flags=("\\Flagged",), spam=None, source=None,
        deciding=None, place=Place.MAILBOX, mailbox=BOX, targets=({"value": "A@x.example"}, {"value": "smtp://x"}),
    )  # fmt: skip


def test_nothing_to_do() -> None:
    assert decide([], message()) == Verdict((), (), None, None, None, Place.INBOX, None, ())


SPAM, HAM, INTO = {"spam": True}, {"spam": False}, {"mailbox": BOX}


@pytest.mark.parametrize(
    ("actions", "others", "spam", "source", "place"),
    [
        ([SPAM], {}, True, Source.FILTER, Place.JUNK),
        ([{**SPAM, **INTO}], {}, True, Source.FILTER, Place.MAILBOX),
        ([{**INTO, **SPAM}], {}, True, Source.FILTER, Place.MAILBOX),
        ([SPAM, INTO], {}, True, Source.FILTER, Place.MAILBOX),
        ([INTO, SPAM], {}, True, Source.FILTER, Place.JUNK),
        ([HAM, SPAM], {}, False, Source.FILTER, Place.INBOX),
        ([INTO], {"domain_rule": True}, True, Source.DOMAIN, Place.MAILBOX),
        ([INTO, SPAM], {"domain_rule": True}, True, Source.DOMAIN, Place.MAILBOX),
        ([HAM], {"domain_rule": True}, True, Source.DOMAIN, Place.JUNK),
        ([SPAM], {"domain_rule": False}, False, Source.DOMAIN, Place.INBOX),
        ([INTO], {"level": True}, True, Source.LEVEL, Place.JUNK),
        ([HAM], {"level": True}, False, Source.FILTER, Place.INBOX),
        ([], {"level": True, "domain_rule": False}, False, Source.DOMAIN, Place.INBOX),
        ([{"mailbox": ""}, INTO], {}, None, None, Place.INBOX),
        ([{**INTO, "delete": True}], {"level": True}, True, Source.LEVEL, Place.NOWHERE),
        ([{"delete": False}, {"delete": True}], {}, None, None, Place.INBOX),
    ],
)
def test_spam_and_where_it_goes(
    actions: list[dict[str, Any]], others: dict[str, bool], spam: bool | None, source: Any, place: Place
) -> None:
    filters = [stored(None, action) for action in actions]
    verdict = decide(filters, message(), **others)
    assert (verdict.spam, verdict.source, verdict.place) == (spam, source, place)
    decided = [f["_id"] for f in filters if f["action"].get("spam") is not None]
    assert verdict.deciding == (decided[0] if source is Source.FILTER else None)


def test_targets_are_told_of_spam_and_of_what_is_deleted_as_well() -> None:
    forward: dict[str, Any] = {"targets": [{"value": "x@y.example"}]}
    assert len(decide([stored(None, forward)], message(), level=True).targets) == 1
    assert len(decide([stored(None, {**forward, "delete": True})], message()).targets) == 1
