"""Stored messages that go out: drafts that are sent, messages that are forwarded, and those taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any

import structlog
from bson import ObjectId

from delivery.sending.compose import Composed, unique_addresses
from delivery.sending.enqueue import Submission, deliveries_to, enqueueing, with_id
from delivery.sending.policy import (
    counted_forwards,
    counted_recipients,
    permitted_sender,
    sending_time,
    under_own_name,
)
from handlers.call import Call
from mail.headers import flat_addresses
from mail.rewrite import split, with_field
from problems import MailLoop, MessageNotDraft, NoRecipients, QueueEntryNotFound
from storage.accounts.documents import Target, User
from storage.accounts.user_fields import require_active
from storage.base.database import Document, Session
from storage.mailboxes.documents import Mailbox
from storage.messages.intake import NewMessage
from storage.messages.messages import OF_SENDING

log = structlog.get_logger()

FLAGS_OF = {"reply": ["\\Answered"], "replyAll": ["\\Answered"], "forward": ["\\Answered", "$Forwarded"]}
_MOST_HOPS = 30


def active_account(call: Call, user: ObjectId) -> User:
    """The document of an account that may send. Raises UserNotFound or UserDisabled."""
    return require_active(call.store.users.get(user))


def submit_stored_message(
    call: Call, user: ObjectId, mailbox: ObjectId, message: int, body: Document
) -> Document:
    """Send a draft: it is queued, gone, and in Sent, all in one step, so that two callers cannot send it twice."""
    account = active_account(call, user)
    draft = call.store.messages.find(user, mailbox, message, OF_SENDING)
    if "\\Draft" not in draft["flags"]:
        raise MessageNotDraft
    place = call.store.mailboxes.by_special_use(user, "\\Sent")
    send_at = sending_time(body.get("sendTime"), call.now)
    composed = _composed(call, account, draft, send_at)
    if not composed.recipients:
        raise NoRecipients
    copy, queue_id = _send_draft(call, account, place, draft, composed, send_at)
    _after_sending(call, user, draft, composed.recipients, delete_files=bool(body.get("deleteFiles")))
    return {
        "success": True,
        "queueId": queue_id,
        "message": {"id": copy["uid"], "mailbox": place["_id"], "size": copy["size"]},
    }


def _composed(call: Call, account: User, draft: Document, send_at: datetime) -> Composed:
    """The draft with the date of its sending and a sender that the account may use, and whom it goes to."""
    envelope = (draft.get("meta") or {}).get("envelope") or {}
    header, body = split(b"".join(call.store.messages.source(draft)))
    header, author = under_own_name(call.store, account, with_field(header, "Date", format_datetime(send_at)))
    sender = permitted_sender(call.store, account, str(envelope.get("from") or author))
    header = with_id(header, sender)
    recipients = _recipients(draft["mimeTree"]["parsedHeader"], envelope)
    return Composed(header + b"\r\n" + body, sender, recipients)


def _recipients(headers: Document, envelope: Document) -> list[str]:
    if envelope.get("to"):
        return unique_addresses(envelope["to"])
    lists = [flat_addresses(headers.get(name)) for name in ("to", "cc", "bcc")]
    return unique_addresses(entry["address"] for entries in lists for entry in entries)


def _send_draft(
    call: Call, account: User, place: Mailbox, draft: Document, composed: Composed, send_at: datetime
) -> tuple[Document, str]:
    """The copy in Sent, and the queue id."""
    store, copy_id = call.store, ObjectId()
    submission = Submission(
        user=account,
        raw=composed.raw,
        sender=composed.sender,
        recipients=composed.recipients,
        send_at=send_at,
        parent=copy_id,
        origin=call.ip or "127.0.0.1",
    )

    with (
        counted_recipients(store, account, len(composed.recipients)),
        enqueueing(store, submission) as queued,
    ):
        new = NewMessage(
            user={**account, "storageUsed": account.get("storageUsed", 0) - draft["size"]},
            mailbox=place,
            raw=composed.raw,
            flags=["\\Seen", *(f for f in draft["flags"] if f not in ("\\Seen", "\\Draft"))],
            meta={**(draft.get("meta") or {}), "from": composed.sender, "to": composed.recipients},
            outbound=[*(draft.get("outbound") or ()), queued.id],
            thread_of=draft,
            message_id=copy_id,
        )

        def steps(session: Session) -> Document:
            queued.release(session)
            store.removal.take_draft(draft, session)
            return store.intake.insert(prepared, session)

        with store.intake.prepare(new, call.offload) as prepared:
            copy = store.transactions.run(steps)
    return copy, queued.id


def _after_sending(
    call: Call, user: ObjectId, draft: Document, recipients: Sequence[str], *, delete_files: bool
) -> None:
    """The message is on its way by now, so a failure here must not tell the caller that it is not.

    What is remembered of the draft may be another program's, and anything.
    """
    store, meta = call.store, draft.get("meta") or {}
    try:
        store.removal.release_files(draft)
        store.address_register.note(user, dict.fromkeys(recipients, ""))
        if meta.get("reference"):
            mark_reference(call, user, meta["reference"])
        if delete_files:
            store.files.delete_all(user, [ObjectId(file["id"]) for file in meta.get("files") or ()])
    except Exception:
        log.exception("a draft was sent but not noted", user=str(user))


def mark_reference(call: Call, user: ObjectId, reference: Document) -> None:
    """Flag the message that was answered or forwarded; one that is gone meanwhile needs none."""
    wanted = {"mailbox": 1, "uid": 1}
    mailbox, uid = ObjectId(reference["mailbox"]), int(reference["id"])
    source = call.store.messages.find(user, mailbox, uid, wanted)
    call.store.message_changes.add_flags(user, source, FLAGS_OF[reference["action"]])


def forward_stored_message(
    call: Call, user: ObjectId, mailbox: ObjectId, message: int, body: Document
) -> Document:
    """Send a stored message on as it came."""
    account = active_account(call, user)
    stored = call.store.messages.find(user, mailbox, message, OF_SENDING)
    targets = _targets(stored, body)
    if not targets:
        return {"success": True, "forwarded": []}
    to = (stored.get("meta") or {}).get("to") or []
    going = deliveries_to(targets, [to] if isinstance(to, str) else to, account)
    if not going:
        raise NoRecipients
    queue_id = _forward(call, account, stored, [delivery for _, delivery in going])
    forwarded = [
        {"seq": f"{number:03x}", "type": target["type"], "value": target["value"]}
        for number, (target, _) in enumerate(going, 1)
    ]
    return {"success": True, "queueId": queue_id, "forwarded": forwarded}


def _targets(message: Document, body: Document) -> list[Target]:
    """The addresses given; and of the targets recorded when it came the chosen one, or all where nothing is given."""
    given: list[Target] = [
        {"type": "mail", "value": address} for address in dict.fromkeys(body.get("addresses") or ())
    ]
    recorded = message.get("forwardTargets") or []
    if "target" in body:
        return given + recorded[body["target"] - 1 : body["target"]]
    return given or list(recorded)


def _forward(call: Call, account: User, stored: Document, going: Sequence[Any]) -> str:
    store, meta = call.store, stored.get("meta") or {}
    raw = b"".join(store.messages.source(stored))
    if _hops(stored) >= _MOST_HOPS:
        raise MailLoop
    submission = Submission(
        user=account,
        raw=raw,
        sender=str(meta.get("from") or ""),
        recipients=[meta["to"]] if isinstance(meta.get("to"), str) else list(meta.get("to") or ()),
        send_at=call.now,
        parent=stored["_id"],
        origin=call.ip or "127.0.0.1",
        deliveries=going,
        unsigned=True,  # what is stored may name anybody in From
    )

    def steps(session: Any) -> None:
        queued.release(session)
        store.message_changes.note_outbound(stored["_id"], queued.id, session)

    with counted_forwards(store, account, len(going)), enqueueing(store, submission) as queued:
        store.transactions.run(steps)
    return queued.id


def _hops(message: Document) -> int:
    received = message["mimeTree"]["parsedHeader"].get("received") or []
    return len(received) if isinstance(received, list) else 1


def delete_outbound_message(call: Call, user: ObjectId, queue_id: str) -> Document:
    """Take back what has not been claimed for delivery. A message of somebody else is as good as none."""
    queue_id = queue_id.lower()
    if call.store.outbound_queue.owner(queue_id) != str(user):
        raise QueueEntryNotFound
    return {"success": True, "queueId": queue_id, "deleted": call.store.outbound_queue.remove(queue_id)}
