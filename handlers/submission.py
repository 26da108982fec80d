"""Submission: compose a message, queue it, keep a copy."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from bson import ObjectId

from delivery.drafts import (
    Composed,
    Extras,
    Referred,
    build,
    mailbox_of,
    mailboxes_of,
    referred,
    unique_addresses,
)
from delivery.queue import Submission, enqueue
from delivery.senders import permitted_sender
from handlers.call import Call
from mail.compose import Mailbox
from problems import Problem
from storage.database import Document

_FLAGS_OF = {"reply": ["\\Answered"], "replyAll": ["\\Answered"], "forward": ["\\Answered", "$Forwarded"]}


def submit_message(call: Call, user: ObjectId, body: Document) -> Document:
    """Send a message and keep a copy, or only keep it.

    Everything that can refuse is asked first. Then the copy is stored, then the message is queued: after a crash
    in between there is a copy that says it was not sent, and no message sent twice.
    """
    account = call.store.users.get(user)
    if account.get("disabled") or account.get("suspended"):
        raise Problem("UserDisabled")
    place = _place(call, user, body)
    source = referred(call.store, account, body.get("reference"))
    sender, envelope_sender = _senders(call, account, body)
    send_at = max(body.get("sendTime") or call.now, call.now)
    composed = build(
        body,
        sender=sender,
        date=send_at,
        keep_bcc=True,
        source=source,
        extras=Extras(),
        offload=call.offload,
    )
    recipients = _recipients(body, composed, source)
    if body.get("isDraft") or body.get("uploadOnly") or not recipients:
        return _kept_only(call, account, place, body, composed, envelope_sender, recipients, source)
    return _sent(call, account, place, body, composed, envelope_sender, recipients, source, send_at)


def _place(call: Call, user: ObjectId, body: Document) -> Document:
    if "mailbox" in body:
        return call.store.mailboxes.get(user, body["mailbox"])
    return call.store.mailboxes.by_special_use(user, "\\Drafts" if body.get("isDraft") else "\\Sent")


def _senders(call: Call, user: Document, body: Document) -> tuple[Mailbox, str]:
    """Whom the header names and whom the envelope does; addresses that are not the account's are replaced."""
    main = Mailbox(str(user.get("name") or ""), str(user.get("address") or ""))
    envelope = mailbox_of((body.get("envelope") or {}).get("from"))
    header = mailbox_of(body.get("from")) or envelope or main
    envelope = envelope or header
    if body.get("uploadOnly"):
        return header, envelope.address
    allowed = permitted_sender(call.store, user, header.address)
    same = envelope.address == header.address
    return Mailbox(header.name, allowed), allowed if same else permitted_sender(
        call.store, user, envelope.address
    )


def _recipients(body: Document, composed: Composed, source: Referred | None) -> list[str]:
    given = mailboxes_of((body.get("envelope") or {}).get("to"))
    return unique_addresses(m.address for m in given) if given else composed.recipients


def _kept_only(
    call: Call,
    user: Document,
    place: Document,
    body: Document,
    composed: Composed,
    sender: str,
    recipients: list[str],
    source: Referred | None,
) -> Document:
    try:
        copy = _store_copy(call, user, place, body, composed, sender, recipients, source)
    except Problem as problem:
        if problem.code != "OverQuotaError":
            raise
        return _answer(None, place, False)
    _delete_draft(call, user, body.get("draft"))
    return _answer(copy, place, False)


def _sent(
    call: Call,
    user: Document,
    place: Document,
    body: Document,
    composed: Composed,
    sender: str,
    recipients: list[str],
    source: Referred | None,
    send_at: datetime,
) -> Document:
    _reserve(call, user, len(recipients))
    try:
        copy = _copy_if_room(call, user, place, body, composed, sender, recipients, source)
        submission = Submission(
            user=user,
            raw=composed.raw,
            sender=sender,
            recipients=recipients,
            send_at=send_at,
            parent=copy["_id"] if copy else ObjectId(),
            origin=call.ip or "127.0.0.1",
        )
        queue_id = enqueue(call.store, submission)
    except Exception:
        call.store.counters.give_back(f"wdr:{user['_id']}", len(recipients))
        raise
    _after_sending(call, user, body, copy, recipients, source, queue_id)
    return _answer(copy, place, queue_id)


def _reserve(call: Call, user: Document, count: int) -> None:
    """Count the recipients before anything is done. Raises Problem TooMany or RateLimitedError."""
    settings = call.store.settings
    most = int(settings.get("const:max:rcpt_to"))
    if count > most:
        raise Problem("TooMany", f"Too many recipients, at most {most} are allowed", allowed=most)
    limit = int(user.get("recipients") or settings.get("const:max:recipients"))
    counted = call.store.counters.add(f"wdr:{user['_id']}", count, limit)
    if not counted.allowed:
        until = f", it ends in {_span(counted.seconds_left)}" if counted.seconds_left else ""
        raise Problem("RateLimitedError", f"You reached a daily sending limit for your account{until}")


def _span(seconds: int) -> str:
    for size, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{round(seconds / size)} {name}"
    return f"{seconds} seconds"


def _copy_if_room(call: Call, user: Document, *rest: Any) -> Document | None:
    """A full account still sends, without a copy."""
    try:
        return _store_copy(call, user, *rest)
    except Problem as problem:
        if problem.code != "OverQuotaError":
            raise
        return None


def _store_copy(
    call: Call,
    user: Document,
    place: Document,
    body: Document,
    composed: Composed,
    sender: str,
    recipients: list[str],
    source: Referred | None,
) -> Document:
    custom = body.get("meta")
    meta: Document = {
        "source": "API",
        "from": sender,
        "to": recipients,
        "origin": call.ip or "127.0.0.1",
        "sess": call.sess,
        "time": call.now,
        "transtype": "SUBMIT",
        "reference": source.stored() if source else False,
        "custom": json.dumps(custom, separators=(",", ":"), ensure_ascii=False) if custom else "",
    }
    if body.get("isDraft"):
        meta["envelope"] = {"from": sender or False, "to": recipients}
    flags = ["\\Seen", "\\Draft"] if body.get("isDraft") else ["\\Seen"]
    return call.store.messages.add(
        user,
        place,
        composed.raw,
        flags=flags,
        meta=meta,
        thread_of=source.message if source else None,
        offload=call.offload,
    )


def _after_sending(
    call: Call,
    user: Document,
    body: Document,
    copy: Document | None,
    recipients: list[str],
    source: Referred | None,
    queue_id: str,
) -> None:
    if copy:
        call.store.messages.note_outbound(copy["_id"], queue_id)
    call.store.addressregister.note(user["_id"], dict.fromkeys(recipients, ""))
    if source:
        call.store.messages.add_flags(user["_id"], source.message, _FLAGS_OF[source.action])
    _delete_draft(call, user, body.get("draft"))


def _delete_draft(call: Call, user: Document, draft: Document | None) -> None:
    """A draft that is gone already is what the caller wanted."""
    if not draft:
        return
    try:
        call.store.messages.delete(user["_id"], draft["mailbox"], draft["id"])
    except Problem as problem:
        if problem.code != "MessageNotFound":
            raise


def _answer(copy: Document | None, place: Document, queue_id: str | bool) -> Document:
    if copy is None:
        message: Document = {"id": False, "mailbox": False, "queueId": queue_id, "overQuota": True}
    else:
        message = {"id": copy["uid"], "mailbox": place["_id"], "queueId": queue_id}
    return {"success": True, "message": message}
