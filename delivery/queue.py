"""A composed message → the outbound queue, in the form that a ZoneMTA beside us reads, too."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from bson import ObjectId

from mail.compose import ascii_address, without_bcc
from mail.headers import flat_addresses
from mail.mimetree import header_fields, parsed_header
from storage.database import Document
from storage.outbound import Delivery, new_queue_id, relay_options
from storage.store import Store

_FIELD_END = re.compile(rb"\r*\n(?![ \t])")
_BLANKS = re.compile(rb"[ \t]+")
_BLANKS_AT_END = re.compile(rb"[ \t]+(?=\r\n)")
_DEFAULT_PORT = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A message to be sent, on behalf of an account, not before `send_at`."""

    user: Document
    raw: bytes
    sender: str
    recipients: Sequence[str]
    send_at: datetime
    parent: ObjectId
    origin: str


def enqueue(store: Store, submission: Submission) -> str:
    """Queue a submission and return the queue id. Bcc fields do not leave the house."""
    header, _, body = submission.raw.partition(b"\r\n\r\n")
    header = without_bcc(header + b"\r\n").rstrip(b"\r\n")
    envelope = _envelope(submission, header, body, store.clock())
    options = _relay(submission.user)
    deliveries = [Delivery(recipient, dict(options)) for recipient in submission.recipients]
    return store.outbound.enqueue(envelope, body, deliveries, submission.send_at)


def _envelope(submission: Submission, header: bytes, body: bytes, now: datetime) -> Document:
    lines = [line.decode("latin-1") for line in _FIELD_END.split(header) if line]
    parsed = parsed_header(lines)
    return {
        "id": new_queue_id(now),
        "from": submission.sender,
        "to": list(submission.recipients),
        "interface": "maildrop",
        "transtype": "API",
        "time": int(now.timestamp() * 1000),
        "dkim": {"hashAlgo": "sha256", "bodyHash": relaxed_body_hash(body)},
        "userId": str(submission.user["_id"]),
        "user": submission.user.get("address") or "",
        "passwordType": "master",
        "parentId": submission.parent,
        "reason": "submit",
        "origin": submission.origin,
        "headers": [
            {"key": key, "line": line} for line, (key, _) in zip(lines, header_fields(lines), strict=True)
        ],
        "parsedEnvelope": _parsed_envelope(parsed),
        "messageId": str(parsed.get("message-id") or ""),
        "date": str(parsed.get("date") or ""),
        "bodySize": len(body),
    }


def _parsed_envelope(parsed: Document) -> Document:
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


def relaxed_body_hash(body: bytes) -> str:
    """SHA-256 in base64 of the body in relaxed canonical form (RFC 6376 §3.4.4)."""
    text = _BLANKS_AT_END.sub(b"", _BLANKS.sub(b" ", body)).rstrip(b" ")
    text = text.rstrip(b"\r\n")
    return b64encode(hashlib.sha256(text + b"\r\n" if text else b"").digest()).decode()


def _relay(user: Document) -> Document:
    """The fields of an account's own relay, which all its mail goes through."""
    relay: Any = user.get("mtaRelay")
    if not relay:
        return {}
    url = urlsplit(relay["value"])
    login = {"user": unquote(url.username), "pass": unquote(url.password or "")} if url.username else None
    port = str(url.port) if url.port else _DEFAULT_PORT
    return relay_options(url.hostname or "", port, login, secure=url.scheme == "smtps")
