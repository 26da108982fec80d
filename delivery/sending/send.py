"""What an account sends: enqueued, and its copy kept, in one transaction.

It sends a message that a request describes, a stored draft, or a stored message that it forwards. Forwards on delivery,
automatic answers and bounces enqueue in the same way, within their own transactions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from bson import ObjectId

from delivery.sending.compose import (
    Composed,
    Fields,
    Referred,
    compose_draft,
    compose_submission,
    referred,
)
from delivery.sending.enqueue import Submission, enqueueing
from delivery.sending.policy import MOST_HOPS, counted_forwards, counted_recipients, sending_time
from problems import MailLoop, NoRecipients, NotFound, OverQuota
from security.offload import Offload, run_here
from storage.accounts.documents import User
from storage.base.database import Session
from storage.mailboxes.documents import Mailbox
from storage.messages.documents import Message
from storage.messages.intake import NewMessage
from storage.queue.outbound_queue import Delivery
from storage.store import Store

log = structlog.get_logger()

_FLAGS_OF = {"reply": ["\\Answered"], "replyAll": ["\\Answered"], "forward": ["\\Answered", "$Forwarded"]}
_LOCAL = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was sent, or only kept.

    `copy` is what is stored in `mailbox`, None where the account has no room for it. `queue_id` is empty for what was
    only kept.
    """

    mailbox: Mailbox
    copy: Message | None
    queue_id: str = ""


class Outbox:
    """Sends for one caller: `ip` and `sess`, the label of its session, are remembered with the message."""

    def __init__(
        self, store: Store, *, ip: str | None = None, sess: str | None = None, offload: Offload = run_here
    ) -> None:
        self._store = store
        self._ip = ip or _LOCAL
        self._sess = sess
        self._offload = offload

    def submit(self, account: User, fields: Fields) -> Sent:
        """Send what a request describes and keep a copy, or only keep it. Everything that can refuse is asked first."""
        mailbox = self._mailbox(account, fields)
        source = referred(self._store, account, fields.get("reference"))
        send_at = sending_time(fields.get("sendTime"), self._store.clock())
        composed = compose_submission(self._store, account, fields, source, send_at, self._offload)
        copy = self._copy(account, mailbox, fields, composed, source)
        if composed.recipients and not fields.get("isDraft") and not fields.get("uploadOnly"):
            sent = self._send(copy, composed, send_at)
            self._note_submitted(account, composed.recipients, source, sent.queue_id)
        else:
            sent = Sent(mailbox, self._keep(copy))
        if (draft := fields.get("draft")) and (sent.copy or sent.queue_id):
            self._delete_draft(account["_id"], draft)
        return sent

    def send_draft(
        self, account: User, draft: Message, send_time: datetime | None, *, delete_files: bool
    ) -> Sent:
        """Send a stored draft: it is enqueued, gone, and in Sent, all in one step, so that it is not sent twice.

        Raises NoRecipients, and what limits raise.
        """
        mailbox = self._store.mailboxes.by_special_use(account["_id"], "\\Sent")
        send_at = sending_time(send_time, self._store.clock())
        composed = compose_draft(self._store, account, draft, send_at)
        if not composed.recipients:
            raise NoRecipients
        copy = NewMessage(
            user={**account, "storageUsed": account.get("storageUsed", 0) - draft["size"]},
            mailbox=mailbox,
            raw=composed.raw,
            flags=["\\Seen", *(f for f in draft["flags"] if f not in ("\\Seen", "\\Draft"))],
            meta={**(draft.get("meta") or {}), "from": composed.sender, "to": composed.recipients},
            outbound=draft.get("outbound") or (),
            thread_of=draft,
        )
        sent = self._send(copy, composed, send_at, draft)
        self._note_draft_sent(account["_id"], draft, composed.recipients, delete_files=delete_files)
        return sent

    def forward(self, account: User, message: Message, deliveries: Sequence[Delivery]) -> str:
        """Send a stored message on as it came, and return its queue id. Raises MailLoop and RateLimited."""
        store, meta = self._store, message.get("meta") or {}
        raw = b"".join(store.messages.source(message))
        if _hops(message) >= MOST_HOPS:
            raise MailLoop
        submission = Submission(
            user=account,
            raw=raw,
            sender=str(meta.get("from") or ""),
            recipients=[meta["to"]] if isinstance(meta.get("to"), str) else list(meta.get("to") or ()),
            send_at=store.clock(),
            parent=message["_id"],
            origin=self._ip,
            deliveries=deliveries,
            unsigned=True,  # what is stored may name anybody in From
        )

        def steps(session: Session) -> None:
            queued.release(session)
            store.message_changes.note_outbound(message["_id"], queued.id, session)

        with (
            counted_forwards(store, account, len(deliveries)),
            enqueueing(store, submission) as queued,
        ):
            store.transactions.run(steps)
        return queued.id

    def _mailbox(self, account: User, fields: Fields) -> Mailbox:
        if "mailbox" in fields:
            return self._store.mailboxes.get(account["_id"], fields["mailbox"])
        use = "\\Drafts" if fields.get("isDraft") else "\\Sent"
        return self._store.mailboxes.by_special_use(account["_id"], use)

    def _copy(
        self, account: User, mailbox: Mailbox, fields: Fields, composed: Composed, source: Referred | None
    ) -> NewMessage:
        return NewMessage(
            user=account,
            mailbox=mailbox,
            raw=composed.raw,
            flags=["\\Seen", "\\Draft"] if fields.get("isDraft") else ["\\Seen"],
            meta=self._meta(fields, composed, source),
            thread_of=source.message if source else None,
        )

    def _meta(self, fields: Fields, composed: Composed, source: Referred | None) -> Mapping[str, Any]:
        custom = fields.get("meta")
        envelope = {"from": composed.sender or False, "to": composed.recipients}
        return {
            "source": "API",
            "from": composed.sender,
            "to": composed.recipients,
            "origin": self._ip,
            "sess": self._sess,
            "time": self._store.clock(),
            "transtype": "SUBMIT",
            "reference": source.stored() if source else False,
            "custom": json.dumps(custom, separators=(",", ":"), ensure_ascii=False) if custom else "",
            **({"envelope": envelope} if fields.get("isDraft") else {}),
        }

    def _keep(self, copy: NewMessage) -> Message | None:
        with suppress(OverQuota):
            return self._store.intake.add(copy, self._offload)
        return None

    def _send(
        self, copy: NewMessage, composed: Composed, send_at: datetime, draft: Message | None = None
    ) -> Sent:
        """Enqueue a message and keep its copy, in place of its draft: all of it happens or nothing.

        A full account still sends, and has no copy; a draft is not given up for nothing.
        """
        store, copy_id = self._store, ObjectId()
        submission = Submission(
            user=copy.user,
            raw=composed.raw,
            sender=composed.sender,
            recipients=composed.recipients,
            send_at=send_at,
            parent=copy_id,
            origin=self._ip,
        )

        def steps(session: Session) -> Message:
            queued.release(session)
            if draft:
                store.removal.take_draft(draft, session)
            return store.intake.insert(prepared, session)

        with (
            counted_recipients(store, copy.user, len(composed.recipients)),
            enqueueing(store, submission) as queued,
        ):
            new = replace(copy, message_id=copy_id, outbound=[*copy.outbound, queued.id])
            try:
                with store.intake.prepare(new, self._offload) as prepared:
                    row = store.transactions.run(steps)
            except OverQuota:
                if draft:
                    raise
                queued.release()
                return Sent(copy.mailbox, None, queued.id)
        return Sent(copy.mailbox, row, queued.id)

    def _note_submitted(
        self, account: User, recipients: Iterable[str], source: Referred | None, queue_id: str
    ) -> None:
        with _logged("a message was sent but not noted", queue_id=queue_id):
            self._store.address_register.note(account["_id"], dict.fromkeys(recipients, ""))
            if source:
                self._flag_source(account["_id"], source.message, source.action)

    def _note_draft_sent(
        self, user: ObjectId, draft: Message, recipients: Iterable[str], *, delete_files: bool
    ) -> None:
        """What is remembered of the draft may be another program's, and anything."""
        store, meta = self._store, draft.get("meta") or {}
        with _logged("a draft was sent but not noted", user=str(user)):
            store.removal.release_files(draft)
            store.address_register.note(user, dict.fromkeys(recipients, ""))
            if reference := meta.get("reference"):
                mailbox, uid = ObjectId(reference["mailbox"]), int(reference["id"])
                source = store.messages.find(user, mailbox, uid, {"mailbox": 1, "uid": 1})
                self._flag_source(user, source, reference["action"])
            if delete_files:
                store.files.delete_all(user, [ObjectId(file["id"]) for file in meta.get("files") or ()])

    def _flag_source(self, user: ObjectId, message: Message, action: str) -> None:
        """Flag the message that was answered or forwarded."""
        self._store.message_changes.add_flags(user, message, _FLAGS_OF[action])

    def _delete_draft(self, user: ObjectId, draft: Fields) -> None:
        """Delete the draft that a submission replaces; one that is gone already is what the caller wanted."""
        with _logged("a draft was not deleted", user=str(user)):
            try:
                self._store.removal.delete(user, draft["mailbox"], draft["id"])
            except NotFound as problem:
                log.info("a draft was gone already", user=str(user), reason=problem.code)


@contextmanager
def _logged(event: str, **facts: str) -> Iterator[None]:
    """Log what fails after a message was sent: an answer that says otherwise would have the caller send it twice."""
    try:
        yield
    except Exception:
        log.exception(event, **facts)


def _hops(message: Message) -> int:
    received = message["mimeTree"]["parsedHeader"].get("received") or []
    return len(received) if isinstance(received, list) else 1
