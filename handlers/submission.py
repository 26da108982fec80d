"""Submission: compose a message, queue it, keep a copy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog
from bson import ObjectId

from delivery.sending.compose import (
    Composed,
    Extras,
    Referred,
    build,
    mailbox_of,
    mailboxes_of,
    referred,
    unique_addresses,
)
from delivery.sending.enqueue import Submission, enqueueing
from delivery.sending.policy import counted_recipients, permitted_sender, sending_time
from handlers.call import Call
from handlers.messages.outbound import FLAGS_OF, active_account
from mail.compose import Mailbox
from problems import NotFound, OverQuota
from storage.accounts.documents import User
from storage.base.database import Document, Session
from storage.mailboxes.documents import Mailbox as StoredMailbox
from storage.messages.intake import NewMessage

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is composed, with all that is decided about it before anything is written."""

    user: User
    place: StoredMailbox
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
    """Send a message and keep a copy, or only keep it. Everything that can refuse is asked first."""
    outgoing = _compose(call, user, body)
    if outgoing.is_sent:
        copy, queue_id = _send(call, outgoing)
    else:
        copy, queue_id = _keep(call, outgoing), ""
    _delete_draft(call, user, body.get("draft"), replaced=bool(copy or queue_id))
    return _answer(outgoing, copy, queue_id)


def _compose(call: Call, user: ObjectId, body: Document) -> Outgoing:
    account = active_account(call, user)
    place = _place(call, user, body)
    source = referred(call.store, account, body.get("reference"))
    header_sender, envelope_sender = _senders(call, account, body)
    send_at = sending_time(body.get("sendTime"), call.now)
    composed = build(
        _addressed(body),
        sender=header_sender,
        date=send_at,
        keep_bcc=True,
        source=source,
        extras=Extras(),
        offload=call.offload,
    )
    recipients = _recipients(body, composed)
    return Outgoing(account, place, body, composed, envelope_sender, recipients, source, send_at)


def _addressed(body: Document) -> Document:
    """With `to` absent where an answer goes to whom it answers: an empty one names nobody, but an envelope may."""
    if body.get("to"):
        return body
    rest = {name: value for name, value in body.items() if name != "to"}
    return {**rest, "to": []} if (body.get("envelope") or {}).get("to") else rest


def _place(call: Call, user: ObjectId, body: Document) -> StoredMailbox:
    if "mailbox" in body:
        return call.store.mailboxes.get(user, body["mailbox"])
    return call.store.mailboxes.by_special_use(user, "\\Drafts" if body.get("isDraft") else "\\Sent")


def _senders(call: Call, user: User, body: Document) -> tuple[Mailbox, str]:
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


def _send(call: Call, outgoing: Outgoing) -> tuple[Document | None, str]:
    """The stored copy and the queue id. Copy and queue entries come about together: neither is there alone.

    A full account still sends, and has no copy.
    """
    store, copy_id = call.store, ObjectId()
    with (
        counted_recipients(store, outgoing.user, len(outgoing.recipients)),
        enqueueing(store, _submission(call, outgoing, copy_id)) as queued,
    ):
        copy = None
        new = _new_message(call, outgoing, message_id=copy_id, outbound=[queued.id])

        def steps(session: Session) -> Document:
            queued.release(session)
            return store.intake.insert(prepared, session)

        with suppress(OverQuota), store.intake.prepare(new, call.offload) as prepared:
            copy = store.transactions.run(steps)
        if copy is None:
            queued.release()
    _after_sending(call, outgoing, queued.id)
    return copy, queued.id


def _submission(call: Call, outgoing: Outgoing, copy_id: ObjectId) -> Submission:
    return Submission(
        user=outgoing.user,
        raw=outgoing.composed.raw,
        sender=outgoing.sender,
        recipients=outgoing.recipients,
        send_at=outgoing.send_at,
        parent=copy_id,
        origin=call.ip or "127.0.0.1",
    )


def _keep(call: Call, outgoing: Outgoing) -> Document | None:
    """The stored copy, None where the account has no room for it."""
    with suppress(OverQuota):
        return call.store.intake.add(_new_message(call, outgoing), call.offload)
    return None


def _new_message(
    call: Call, outgoing: Outgoing, *, message_id: ObjectId | None = None, outbound: Sequence[str] = ()
) -> NewMessage:
    source = outgoing.source
    return NewMessage(
        user=outgoing.user,
        mailbox=outgoing.place,
        raw=outgoing.composed.raw,
        flags=["\\Seen", "\\Draft"] if outgoing.is_draft else ["\\Seen"],
        meta=_meta(call, outgoing),
        thread_of=source.message if source else None,
        message_id=message_id,
        outbound=outbound,
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


def _after_sending(call: Call, outgoing: Outgoing, queue_id: str) -> None:
    """The message is on its way by now: an answer that says otherwise would have the caller send it twice."""
    user, source = outgoing.user["_id"], outgoing.source
    try:
        call.store.address_register.note(user, dict.fromkeys(outgoing.recipients, ""))
        if source:
            call.store.message_changes.add_flags(user, source.message, FLAGS_OF[source.action])
    except Exception:
        log.exception("a message was sent but not noted", queue_id=queue_id)


def _delete_draft(call: Call, user: ObjectId, draft: Document | None, *, replaced: bool) -> None:
    """A draft that is gone already is what the caller wanted; one that nothing has replaced stays."""
    if not draft or not replaced:
        return
    try:
        call.store.removal.delete(user, draft["mailbox"], draft["id"])
    except NotFound as problem:
        log.info("a draft was gone already", user=str(user), reason=problem.code)
    except Exception:
        log.exception("a draft was not deleted", user=str(user))


def _answer(outgoing: Outgoing, copy: Document | None, queue_id: str) -> Document:
    queued = queue_id or False
    if copy is None:
        message: Document = {"id": False, "mailbox": False, "queueId": queued, "overQuota": True}
    else:
        message = {"id": copy["uid"], "mailbox": outgoing.place["_id"], "queueId": queued}
    return {"success": True, "message": message}
