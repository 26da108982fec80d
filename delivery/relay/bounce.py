"""The bounce to the sender of an undeliverable message: a delivery status notification (DSN, RFC 3461, 3462, 3464)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from bson import ObjectId

from delivery.relay.replies import Reply
from delivery.sending.enqueue import Submission
from mail.compose import ascii_address, new_message_id
from storage.queue.claims import Entry
from storage.queue.documents import QueueEnvelope, relay_flags

_LONGEST_LINE = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce(Submission):
    """A report. It belongs to nobody, is answered by nobody, and has a null sender, so that it causes no other."""

    @property
    def kind(self) -> QueueEnvelope:
        """See Submission."""
        return {"interface": "bounce", "reason": "bounce"}


def bounce(
    envelope: QueueEnvelope, entry: Entry, reply: Reply, *, name: str, now: datetime, arrived: datetime
) -> Bounce | None:
    """The report that one recipient is given up; None where the message has a null sender, or one that is forged.

    `name` is the relay's.
    """
    sender = str(envelope.get("from") or "")
    if not sender or relay_flags(envelope).get("unreported"):
        return None
    return Bounce(
        user={"_id": envelope.get("userId") or ObjectId()},
        raw=_report(envelope, entry, reply, name, now, arrived),
        sender="",
        recipients=[ascii_address(sender)],
        send_at=now,
        parent=envelope.get("parentId") or ObjectId(),
        origin="127.0.0.1",
    )


def _report(
    envelope: QueueEnvelope, entry: Entry, reply: Reply, name: str, now: datetime, arrived: datetime
) -> bytes:
    boundary = f"report-{uuid.uuid4().hex}"
    header = b"\r\n".join(_original_header(envelope))
    is_utf8 = not header.isascii() or not entry.recipient.isascii()
    kinds = (
        ("text/plain; charset=utf-8", _text(entry, reply, name)),
        (f"message/{'global-' if is_utf8 else ''}delivery-status", _status(entry, reply, name, now, arrived)),
        (f"{'message/global-headers' if is_utf8 else 'text/rfc822-headers'}", header + b"\r\n"),
    )
    parts = b"".join(_part(boundary, kind, content) for kind, content in kinds)
    return _header(envelope, name, now, boundary) + parts + f"--{boundary}--\r\n".encode()


def _header(envelope: QueueEnvelope, name: str, now: datetime, boundary: str) -> bytes:
    answered = _one_line(str(envelope.get("messageId") or ""))
    fields = [
        ("From", f"Mail Delivery System <MAILER-DAEMON@{name}>"),
        ("To", ascii_address(str(envelope["from"]))),
        ("Subject", "Undelivered mail returned to sender"),
        ("Date", format_datetime(now)),
        ("Message-ID", new_message_id(f"MAILER-DAEMON@{name}")),
        *([("In-Reply-To", answered), ("References", answered)] if answered else []),
        ("Auto-Submitted", "auto-replied"),
        ("MIME-Version", "1.0"),
        (
            "Content-Type",
            f'multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
        ),
    ]
    return "".join(f"{field}: {value}\r\n" for field, value in fields).encode() + b"\r\n"


def _part(boundary: str, kind: str, content: bytes) -> bytes:
    encoding = "7bit" if content.isascii() else "8bit"
    head = f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def _text(entry: Entry, reply: Reply, name: str) -> bytes:
    said = f"{reply.host} said" if reply.host else "The reason"
    lines = (
        f"This is the mail system at {name}.",
        "",
        "Your message could not be delivered to",
        "",
        f"    {_one_line(entry.recipient)}",
        "",
        _one_line(f"{said}: {reply}"),
        "",
        "It will not be tried again. The header of your message is attached.",
        "",
    )
    return "\r\n".join(lines).encode("utf-8", "replace")


def _status(entry: Entry, reply: Reply, name: str, now: datetime, arrived: datetime) -> bytes:
    """RFC 3464 §2. A failure that did not pass in time is now a permanent one (RFC 3463 §3.5)."""
    kind = "rfc822" if entry.recipient.isascii() else "utf-8"
    status = reply.status if reply.is_permanent else f"5{reply.status[1:]}"
    said_by = "smtp" if reply.host else "x-mallard"
    lines = [
        f"Reporting-MTA: dns; {name}",
        f"X-Mallard-Queue-ID: {entry.queue_id}",
        f"Arrival-Date: {format_datetime(arrived)}",
        "",
        f"Final-Recipient: {kind}; {entry.recipient}",
        "Action: failed",
        f"Status: {status}",
        *([f"Remote-MTA: dns; {reply.host}"] if reply.host else []),
        f"Diagnostic-Code: {said_by}; {reply}",
        f"Last-Attempt-Date: {format_datetime(now)}",
    ]
    return "\r\n".join([*map(_one_line, lines), ""]).encode("utf-8", "replace")


def _original_header(envelope: QueueEnvelope) -> Iterator[bytes]:
    """The fields of the message, never its text; whoever reads the report may not be meant to see that."""
    for header in envelope.get("headers") or ():
        yield str(header["line"]).encode("latin-1", "replace")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_LINE]
