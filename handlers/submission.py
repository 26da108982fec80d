"""Submission: compose a message, queue it, keep a copy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import structlog
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
from storage.database import DatabaseError, Document

log = structlog.get_logger()

_FLAGS_OF = {"reply": ["\\Answered"], "replyAll": ["\\Answered"], "forward": ["\\Answered", "$Forwarded"]}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is composed, with all that is decided about it before anything is written."""

    user: Document
    place: Document
    body: Document
    composed: Composed
    sender: str
    recipients: list[str]
    source: Referred | None
    send_at: datetime

    @property
    def is_draft(self) -> bool:
        return bool(self.body.get("isDraft"))

    @property
    def is_sent(self) -> bool:
        """Whether it leaves the house, or is only kept."""
        return bool(self.recipients) and not self.is_draft and not self.body.get("uploadOnly")


def submit_message(call: Call, user: ObjectId, body: Document) -> Document:
    """Send a message and keep a copy, or only keep it.

    Everything that can refuse is asked first. Then the copy is stored, then the message is queued: after a crash
    in between there is a copy that says it was not sent, and no message sent twice.
    """
    outgoing = _compose(call, user, body)
    if outgoing.is_sent:
        _reserve(call, outgoing)
    copy = _copy_if_room(call, outgoing)
    queue_id = _queue(call, outgoing, copy) if outgoing.is_sent else False
    _delete_draft(call, user, body.get("draft"), replaced=bool(copy or queue_id))
    return _answer(outgoing, copy, queue_id)


def _compose(call: Call, user: ObjectId, body: Document) -> Outgoing:
    account = call.store.users.get(user)
    if account.get("disabled") or account.get("suspended"):
        raise Problem("UserDisabled")
    place = _place(call, user, body)
    source = referred(call.store, account, body.get("reference"))
    header_sender, envelope_sender = _senders(call, account, body)
    send_at = max(body.get("sendTime") or call.now, call.now)
    composed = build(
        body,
        sender=header_sender,
        date=send_at,
        keep_bcc=True,
        source=source,
        extras=Extras(),
        offload=call.offload,
    )
    recipients = _recipients(body, composed)
    return Outgoing(account, place, body, composed, envelope_sender, recipients, source, send_at)


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
    if envelope.address == header.address:
        return Mailbox(header.name, allowed), allowed
    return Mailbox(header.name, allowed), permitted_sender(call.store, user, envelope.address)


def _recipients(body: Document, composed: Composed) -> list[str]:
    given = mailboxes_of((body.get("envelope") or {}).get("to"))
    return unique_addresses(m.address for m in given) if given else composed.recipients


def _reserve(call: Call, outgoing: Outgoing) -> None:
    """Count the recipients before anything is done. Raises Problem TooMany or RateLimitedError."""
    settings, user, count = call.store.settings, outgoing.user, len(outgoing.recipients)
    most = int(settings.get("const:max:rcpt_to"))
    if count > most:
        raise Problem("TooMany", f"Too many recipients, at most {most} are allowed", allowed=most)
    limit = int(user.get("recipients") or settings.get("const:max:recipients"))
    counted = call.store.counters.add(_counter(user), count, limit)
    if not counted.allowed:
        until = f", it ends in {_span(counted.seconds_left)}" if counted.seconds_left else ""
        raise Problem("RateLimitedError", f"You reached a daily sending limit for your account{until}")


def _give_back(call: Call, outgoing: Outgoing) -> None:
    call.store.counters.give_back(_counter(outgoing.user), len(outgoing.recipients))


def _counter(user: Document) -> str:
    return f"wdr:{user['_id']}"


def _span(seconds: int) -> str:
    for size, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{round(seconds / size)} {name}"
    return f"{seconds} seconds"


def _copy_if_room(call: Call, outgoing: Outgoing) -> Document | None:
    """The stored copy. A full account still sends, without one."""
    try:
        return _store_copy(call, outgoing)
    except Exception as error:
        if isinstance(error, Problem) and error.code == "OverQuotaError":
            return None
        if outgoing.is_sent:
            _give_back(call, outgoing)
        raise


def _store_copy(call: Call, outgoing: Outgoing) -> Document:
    source = outgoing.source
    return call.store.messages.add(
        outgoing.user,
        outgoing.place,
        outgoing.composed.raw,
        flags=["\\Seen", "\\Draft"] if outgoing.is_draft else ["\\Seen"],
        meta=_meta(call, outgoing),
        thread_of=source.message if source else None,
        offload=call.offload,
    )


def _meta(call: Call, outgoing: Outgoing) -> Document:
    custom = outgoing.body.get("meta")
    meta: Document = {
        "source": "API",
        "from": outgoing.sender,
        "to": outgoing.recipients,
        "origin": call.ip or "127.0.0.1",
        "sess": call.sess,
        "time": call.now,
        "transtype": "SUBMIT",
        "reference": outgoing.source.stored() if outgoing.source else False,
        "custom": json.dumps(custom, separators=(",", ":"), ensure_ascii=False) if custom else "",
    }
    if outgoing.is_draft:
        meta["envelope"] = {"from": outgoing.sender or False, "to": outgoing.recipients}
    return meta


def _queue(call: Call, outgoing: Outgoing, copy: Document | None) -> str:
    """Queue the message, and note on the copy and on the message referred to that it is."""
    submission = Submission(
        user=outgoing.user,
        raw=outgoing.composed.raw,
        sender=outgoing.sender,
        recipients=outgoing.recipients,
        send_at=outgoing.send_at,
        parent=copy["_id"] if copy else ObjectId(),
        origin=call.ip or "127.0.0.1",
    )
    try:
        queue_id = enqueue(call.store, submission)
    except Exception:
        _give_back(call, outgoing)
        raise
    _after_sending(call, outgoing, copy, queue_id)
    return queue_id


def _after_sending(call: Call, outgoing: Outgoing, copy: Document | None, queue_id: str) -> None:
    """The message is on its way by now: an answer that says otherwise would have the caller send it twice."""
    user, source = outgoing.user["_id"], outgoing.source
    try:
        if copy:
            call.store.messages.note_outbound(copy["_id"], queue_id)
        call.store.addressregister.note(user, dict.fromkeys(outgoing.recipients, ""))
        if source:
            call.store.messages.add_flags(user, source.message, _FLAGS_OF[source.action])
    except (DatabaseError, Problem) as error:
        log.warning("a message was sent but not noted", queue_id=queue_id, reason=str(error)[:200])


def _delete_draft(call: Call, user: ObjectId, draft: Document | None, *, replaced: bool) -> None:
    """A draft that is gone already is what the caller wanted; one that nothing has replaced stays."""
    if not draft or not replaced:
        return
    try:
        call.store.messages.delete(user, draft["mailbox"], draft["id"])
    except (DatabaseError, Problem) as error:
        log.warning("a draft was not deleted", user=str(user), reason=str(error)[:200])


def _answer(outgoing: Outgoing, copy: Document | None, queue_id: str | bool) -> Document:
    if copy is None:
        message: Document = {"id": False, "mailbox": False, "queueId": queue_id, "overQuota": True}
    else:
        message = {"id": copy["uid"], "mailbox": outgoing.place["_id"], "queueId": queue_id}
    return {"success": True, "message": message}
