"""uploadMessage: a message into a mailbox, given whole or in fields."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import orjson
from bson import ObjectId

from delivery.sending.compose import (
    Composed,
    Extras,
    Referred,
    StoredReference,
    build,
    extras_of,
    mailbox_of,
    referred,
    unique_addresses,
)
from delivery.sending.policy import permitted_sender
from handlers.call import Answer, Body, Call
from mail.compose import Mailbox
from mail.headers import flat_addresses
from mail.mime_tree import parse
from problems import EmptyMessage, MailboxNotFound, MessageNotFound
from storage.accounts.documents import User
from storage.accounts.user_fields import require_active
from storage.base.database import Document
from storage.messages.intake import NewMessage

_FLAGS = (("unseen", "\\Seen"), ("flagged", "\\Flagged"), ("draft", "\\Draft"))
_PLACE = {"mailbox": 1, "uid": 1}
_BLANKS = re.compile(r"\s+")
_HEADER_FIELD = re.compile(rb"\s*[\x21-\x39\x3b-\x7e]+[ \t]*:")


def upload(call: Call, user: ObjectId, mailbox: ObjectId, body: Body) -> Answer:
    """Store a message and answer with where it is."""
    store = call.store
    if body.get("raw") == "":
        body = {name: value for name, value in body.items() if name != "raw"}
    place = store.mailboxes.get(user, mailbox)
    account = require_active(store.users.get(user))
    source = referred(store, account, body.get("reference"))
    if source:
        body = {**body, "draft": True}
    extras = extras_of(store, user, body, source) if "raw" not in body else _files_only(call, user, body)
    composed = _message(call, account, body, source, extras)
    previous = _previous(call, user, mailbox, body.get("replacePrevious"))
    stored = store.intake.add(
        NewMessage(
            user=account,
            mailbox=place,
            raw=composed.raw,
            flags=_flags(body),
            date=body.get("date") or None,
            meta=_meta(call, body, composed, source.stored() if source else False, extras),
            thread_of=source.message if source else None,
        ),
        call.offload,
    )
    answer: Answer = {
        "success": True,
        "message": {"id": stored["uid"], "mailbox": mailbox, "size": stored["size"]},
    }
    return answer if previous is None else {**answer, **_replace(call, user, previous)}


def _files_only(call: Call, user: ObjectId, body: Body) -> Extras:
    """A message that is given whole gets nothing attached; the files are only remembered."""
    return Extras(files=extras_of(call.store, user, {"files": body.get("files")}, None).files)


def _message(call: Call, user: User, body: Body, source: Referred | None, extras: Extras) -> Composed:
    if "raw" in body:
        return _whole(call.offload(_raw_bytes, body["raw"]), body)
    given = mailbox_of(body.get("from"))
    name = given.name if given else str(user.get("name") or "")
    address = given.address if given else str(user.get("address") or "")
    if body.get("draft"):
        address = permitted_sender(call.store, user, address)
    return build(
        body,
        sender=Mailbox(name, address),
        date=body.get("date") or call.now,
        keep_bcc=bool(body.get("draft")),
        source=source,
        extras=extras,
        offload=call.offload,
    )


def _raw_bytes(raw: str | bytes) -> bytes:
    """The message itself, or base64 of it where that decodes to something that begins like a header."""
    if isinstance(raw, bytes):
        return raw
    try:
        decoded = b64decode(_BLANKS.sub("", raw), validate=True)
    except (binascii.Error, ValueError):
        return raw.encode()
    return decoded if _HEADER_FIELD.match(decoded) else raw.encode()


def _whole(raw: bytes, body: Body) -> Composed:
    """The envelope of a message given whole: the request's fields if given, else its headers."""
    if not raw or raw.isspace():
        raise EmptyMessage
    headers = parse(raw[: 256 * 1024].partition(b"\r\n\r\n")[0]).root["parsedHeader"]
    sender = mailbox_of(body.get("from"))
    first = next((entry["address"] for entry in flat_addresses(headers.get("from"))), "")
    lists = [body.get(name) or headers.get(name) or () for name in ("to", "cc", "bcc")]
    everybody = [entry["address"] for entries in lists for entry in flat_addresses(entries)]
    return Composed(raw, sender.address if sender else first, unique_addresses(everybody))


def _flags(body: Body) -> list[str]:
    return [flag for name, flag in _FLAGS if bool(body.get(name)) != (name == "unseen")]


def _meta(
    call: Call, body: Body, composed: Composed, reference: StoredReference | bool, extras: Extras
) -> Document:
    custom = body.get("metaData")
    meta: Document = {
        "source": "API",
        "from": "",
        "origin": call.ip or "127.0.0.1",
        "transtype": "UPLOAD",
        "time": body.get("date") or call.now,
        "custom": orjson.dumps(custom).decode() if custom is not None else "",
        "reference": reference,
        "envelope": {"from": composed.sender or False, "to": composed.recipients},
    }
    return {**meta, "files": extras.files} if extras.files else meta


def _previous(
    call: Call, user: ObjectId, mailbox: ObjectId, given: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """The message to be replaced; empty if it no longer exists.

    It is looked up before the new one is stored: a UID that is still to come could be the new message itself.
    """
    if not given:
        return None
    try:
        return call.store.messages.find(user, given.get("mailbox") or mailbox, given["id"], _PLACE)
    except (MailboxNotFound, MessageNotFound):
        return {}


def _replace(call: Call, user: ObjectId, previous: Mapping[str, Any]) -> Answer:
    """The new message is already stored; if the old one is gone, that does not undo it."""
    if not previous:
        return {"previousDeleteError": MessageNotFound().text}
    try:
        call.store.removal.delete(user, previous["mailbox"], previous["uid"])
    except (MailboxNotFound, MessageNotFound):
        return {"previousDeleted": False}
    return {"previousDeleted": True}
