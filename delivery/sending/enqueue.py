"""A composed message → the outbound queue, in the form that a ZoneMTA on the same database reads, too.

Everything that is sent is enqueued here: submissions, drafts, forwards, automatic answers and bounces.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from bson import ObjectId

from mail.compose import ascii_address, new_message_id
from mail.dkim import body_hash
from mail.headers import flat_addresses, read_date
from mail.mime_tree import header_fields, header_lines, parsed_header
from mail.rewrite import split, without
from storage.addresses.documents import Owner, Target
from storage.base.database import Session, may_be_committed
from storage.queue.documents import EntryOptions, ParsedEnvelope, QueueEnvelope, RelayLogin, relay_fields
from storage.queue.outbound_queue import Delivery, new_queue_id, relay_options
from storage.store import Store

_DEFAULT_PORT = 25
_EPOCH = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A message to be sent, on behalf of an account or a forwarded address, not before `send_at`.

    It goes to the `recipients` of its envelope, or, when it is forwarded, to `deliveries` in their stead. An
    `automatic` one is an answer that nobody wrote. Of one that is `unreported` nobody is told that it cannot be
    delivered: who stands for its sender did not send it. One that is `unsigned` gets no signature, which would vouch
    for whom From names.
    """

    user: Owner
    raw: bytes
    sender: str
    recipients: Sequence[str]
    send_at: datetime
    parent: ObjectId
    origin: str
    deliveries: Sequence[Delivery] = ()
    automatic: bool = False
    unreported: bool = False
    unsigned: bool = False

    @property
    def owner(self) -> QueueEnvelope:
        """The account that may take the message back; nobody may where it is no account's."""
        return {"userId": str(self.user["_id"])} if "username" in self.user else {}

    @property
    def kind(self) -> QueueEnvelope:
        """What the queue stores about the message's origin."""
        if self.automatic:
            return {"interface": "autoreplies", "reason": "autoreply"}
        if self.deliveries:
            return {"interface": "forwarder", "reason": "forward"}
        return {
            "interface": "maildrop",
            "reason": "submit",
            "user": self.user.get("address") or "",
            "passwordType": "master",
        }


class Queued:
    """A staged message: its body is stored, and it is enqueued once it is certain that it goes out."""

    def __init__(
        self, store: Store, queue_id: str, deliveries: Sequence[Delivery], send_at: datetime
    ) -> None:
        self.id = queue_id
        self._store = store
        self._deliveries = deliveries
        self._send_at = send_at
        self._is_out = False

    def release(self, session: Session = None) -> None:
        """Send it: within the transaction of `session`, where the server has transactions.

        Without one a second call does nothing, so that whoever cannot go on may send it all the same.
        """
        if self._is_out and session is None:
            return
        self._store.outbound_queue.enqueue(self.id, self._deliveries, self._send_at, session)
        self._is_out = session is None


@contextmanager
def enqueueing(store: Store, submission: Submission) -> Iterator[Queued]:
    """Stage a submission; the block enqueues it with `release`. If the block fails, nothing stays.

    Only what may have been sent, because the answer of the database was lost, stays. Bcc fields do not leave the house.
    """
    header, body = split(submission.raw)
    header = _dated(with_id(without(header, "bcc"), submission.sender), store.clock())
    envelope = _envelope(submission, header, body, store.clock())
    deliveries = submission.deliveries or [
        Delivery(recipient, relay_of(submission.user)) for recipient in submission.recipients
    ]
    try:
        store.outbound_queue.put(envelope, body)
        yield Queued(store, envelope["id"], deliveries, submission.send_at)
    except BaseException as error:
        if not may_be_committed(error):
            store.outbound_queue.remove(envelope["id"])
        raise


def with_id(header: bytes, sender: str) -> bytes:
    """With a Message-ID on top, where it has none; many servers take no mail without."""
    if _first(header, "message-id").strip("<> \t"):
        return header
    return f"Message-ID: {new_message_id(sender)}\r\n".encode() + without(header, "message-id")


def _dated(header: bytes, now: datetime) -> bytes:
    """With a Date on top, where it has none that can be read (RFC 5322 §3.6.1)."""
    date = read_date(_first(header, "date"))
    if date and date > _EPOCH:
        return header
    return f"Date: {format_datetime(now)}\r\n".encode() + without(header, "date")


def _first(header: bytes, name: str) -> str:
    lines = [line.decode("latin-1") for line in header_lines(header)]
    return next((text for key, text in header_fields(lines) if key == name), "")


def _envelope(submission: Submission, header: bytes, body: bytes, now: datetime) -> QueueEnvelope:
    lines = [line.decode("latin-1") for line in header_lines(header)]
    parsed = parsed_header(lines)
    return {
        "id": new_queue_id(now),
        "from": submission.sender,
        "to": list(submission.recipients),
        "transtype": "API",
        "time": int(now.timestamp() * 1000),
        "dkim": {"hashAlgo": "sha256", "bodyHash": b64encode(body_hash(body)).decode()},
        **submission.owner,
        **submission.kind,
        "parentId": submission.parent,
        "origin": submission.origin,
        "headers": [
            {"key": key, "line": line} for line, (key, _) in zip(lines, header_fields(lines), strict=True)
        ],
        "parsedEnvelope": _parsed_envelope(parsed),
        "messageId": str(parsed.get("message-id") or ""),
        "date": str(parsed.get("date") or ""),
        "bodySize": len(body),
        **relay_fields(unreported=submission.unreported, unsigned=submission.unsigned),
    }


def _parsed_envelope(parsed: Mapping[str, Any]) -> ParsedEnvelope:
    def listed(name: str) -> list[str]:
        return [ascii_address(entry["address"]) for entry in flat_addresses(parsed.get(name))]

    def single(name: str) -> str | bool:
        return next(iter(listed(name)), False)

    return {
        "from": single("from"),
        "to": listed("to"),
        "cc": listed("cc"),
        "bcc": listed("bcc"),
        "replyTo": single("reply-to"),
        "sender": single("sender"),
    }


def relay_of(user: Owner) -> EntryOptions:
    """The fields of an account's own relay, which all its mail goes through."""
    relay: Any = user.get("mtaRelay")
    return server_of(relay["value"]) if relay else {}


def server_of(url: str) -> EntryOptions:
    """The queue fields of a server given as `smtp://user:password@host:port`."""
    parts = urlsplit(url)
    login: RelayLogin | None = (
        {"user": unquote(parts.username), "pass": unquote(parts.password or "")} if parts.username else None
    )
    port = str(parts.port) if parts.port else _DEFAULT_PORT
    return relay_options(parts.hostname or "", port, login, secure=parts.scheme == "smtps")


def deliveries_to(
    targets: Sequence[Target], recipients: Sequence[str], user: Owner
) -> list[tuple[Target, Delivery]]:
    """Each delivery with its target. A server and an HTTP target get the message for its original recipients."""
    return [(target, delivery) for target in targets for delivery in _deliveries(target, recipients, user)]


def _deliveries(target: Target, recipients: Sequence[str], user: Owner) -> Iterator[Delivery]:
    value = target["value"]
    if target["type"] == "mail":
        yield Delivery(ascii_address(value), relay_of(user))
        return
    for recipient in dict.fromkeys(recipients):
        if target["type"] == "relay":
            yield Delivery(recipient, server_of(value))
        else:
            yield Delivery(recipient, {"http": True, "targetUrl": value, "skipSRS": True, "skipSTS": True})
