"""Audit: copies of an account's mail, made for those who have to look into it."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from bson import ObjectId

from handlers.answers import Stream
from handlers.call import Answer, Body, Call
from mail import mbox
from problems import InvalidInput
from storage.audits.audits import Actor, Span

log = structlog.get_logger()

_SHOWN = ("user", "start", "end", "expires", "notes", "meta", "deleted", "audited", "import")
_LATER = ("deletedTime", "lastAuditedMessage")
_WRITTEN_AT_ONCE = 64 * 1024


def create_audit(call: Call, body: Body) -> Answer:
    """Start an audit; a job copies the messages that match."""
    expires = body["expires"]
    if not expires or expires <= call.now:
        raise InvalidInput({"expires": '"expires" must be later than now'})
    meta = body.get("meta") or {}
    span = Span(body.get("start"), body.get("end"))
    audit = call.store.audits.create(
        body["user"], span, expires, body.get("notes") or None, meta, _actor(call)
    )
    log.info("an audit was started", audit=str(audit), user=str(body["user"]), by=call.caller.user)
    return {"success": True, "id": audit}


def get_audit(call: Call, audit: ObjectId) -> Answer:
    """What an audit covers and how far it has come."""
    found = call.store.audits.get(audit)
    shown = {name: found.get(name) for name in _SHOWN}
    later = {name: found[name] for name in _LATER if found.get(name)}
    return {"success": True, "id": audit, **shown, "meta": found.get("meta") or {}, **later}


def get_audit_emails(call: Call, audit: ObjectId) -> Stream:
    """All messages of an audit as one mbox file."""
    call.store.audits.get(audit)
    call.store.audits.note(audit, "export", _actor(call))
    log.info("an audit was exported", audit=str(audit), by=call.caller.user)
    headers = {"Content-Disposition": "attachment; filename=export.mbox"}
    return Stream(_gathered(_entries(call, audit)), "application/mbox", headers)


def _actor(call: Call) -> Actor:
    return Actor(call.caller.user, call.caller.role, call.sess, call.ip)


def _entries(call: Call, audit: ObjectId) -> Iterator[bytes]:
    for copy in call.store.audit_files.export(audit):
        yield from mbox.entry(
            copy.pieces, sender=copy.sender, date=copy.date, mailbox=copy.mailbox, draft=copy.draft
        )


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Small pieces together, as each of them is a write to the connection."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= _WRITTEN_AT_ONCE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
