"""The report that a message could not be delivered (RFC 3464)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

from bson import ObjectId

from delivery.relay.bounce import Bounce, bounce
from delivery.relay.replies import Reply
from storage.queue.documents import QueueEnvelope
from tests.delivery.relay.conftest import entry

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PARENT = ObjectId()
ENVELOPE: QueueEnvelope = {
    "id": "0123456789abcdef01",
    "from": "ada@example.com",
    "messageId": "<1@example.com>",
    "parentId": PARENT,
    "headers": [
        {"key": "from", "line": "From: ada@example.com"},
        {"key": "subject", "line": "Subject: Minutes\r\n of Tuesday"},
        {"key": "content-type", "line": "Content-Type: text/plain"},
    ],
}
REFUSED = Reply(550, "5.1.1", "No such user", "mx.example.org")


def report(envelope: QueueEnvelope = ENVELOPE, reply: Reply = REFUSED, **fields: Any) -> Bounce:
    recipient = replace(entry(), **fields)
    made = bounce(envelope, recipient, reply, name="relay.example.com", now=NOW, arrived=NOW)
    assert made
    return made


def parts(made: Bounce) -> Any:
    return message_from_bytes(made.raw, policy=policy.default)


def test_it_goes_to_the_sender_and_from_nobody() -> None:
    made = report()
    assert (made.sender, list(made.recipients), made.parent) == ("", ["ada@example.com"], PARENT)
    assert made.kind == {"interface": "bounce", "reason": "bounce"}


def test_a_null_sender_gets_none_and_a_forged_one() -> None:
    forged = {**ENVELOPE, "mallard": {"unreported": True}}
    envelope: Any
    for envelope in ({**ENVELOPE, "from": ""}, {**ENVELOPE, "from": None}, forged):
        assert bounce(envelope, entry(), REFUSED, name="r", now=NOW, arrived=NOW) is None


def test_its_form() -> None:
    found = parts(report())
    assert found.get_content_type() == "multipart/report"
    assert found.get_param("report-type") == "delivery-status"
    assert found["To"] == "ada@example.com"
    assert found["From"].addresses[0].addr_spec == "MAILER-DAEMON@relay.example.com"
    assert (found["Auto-Submitted"], found["In-Reply-To"]) == ("auto-replied", "<1@example.com>")
    assert [part.get_content_type() for part in found.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert not found.defects


def test_the_text_names_recipient_and_reason() -> None:
    text = next(parts(report()).iter_parts()).get_content()
    assert "grace@example.org" in text
    assert "mx.example.org said: 550 5.1.1 No such user" in text


def test_the_fields_for_machines() -> None:
    status = list(parts(report()).iter_parts())[1]
    of_message, of_recipient = status.get_payload()
    assert of_message["Reporting-MTA"] == "dns; relay.example.com"
    assert of_message["X-Mallard-Queue-ID"] == "0123456789abcdef01"
    assert dict(of_recipient) == {
        "Final-Recipient": "rfc822; grace@example.org",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.example.org",
        "Diagnostic-Code": "smtp; 550 5.1.1 No such user",
        "Last-Attempt-Date": "Wed, 25 Nov 2026 12:00:00 +0000",
    }


def test_what_did_not_pass_in_time_is_permanent() -> None:
    late = report(reply=Reply(450, "4.4.1", "No connection"))
    of_recipient = list(parts(late).iter_parts())[1].get_payload()[1]
    assert of_recipient["Status"] == "5.4.1"
    assert of_recipient["Remote-MTA"] is None
    assert of_recipient["Diagnostic-Code"] == "x-mallard; 450 4.4.1 No connection"


def test_the_header_of_the_message_and_nothing_of_its_text() -> None:
    headers = list(parts(report()).iter_parts())[2].get_content()
    assert headers.replace("\r\n", "\n").strip() == (
        "From: ada@example.com\nSubject: Minutes\n of Tuesday\nContent-Type: text/plain"
    )


def test_international_ones() -> None:
    found = parts(report(recipient="grüße@example.org"))
    status = list(found.iter_parts())[1]
    assert status.get_content_type() == "message/global-delivery-status"
    assert "utf-8; grüße@example.org".encode() in report(recipient="grüße@example.org").raw


def test_no_reply_can_add_a_field() -> None:
    evil = Reply(550, "5.1.1", "no\r\nAction: delivered\r\n\r\n--x", "mx\r\nX: y")
    for line in report(reply=evil).raw.split(b"\r\n"):
        assert not line.startswith((b"Action: delivered", b"X: y", b"--x"))


def test_no_targets_secret_is_told() -> None:
    options = {"mx": [{"exchange": "mx.example.net"}], "mxAuth": {"user": "ada", "pass": "hush"}}
    assert b"hush" not in report(options=options).raw
    assert b"token" not in report(options={"http": True, "targetUrl": "https://x/?token=1"}).raw
