"""Automatic answers (autoreplies), and which messages get none (RFC 3834)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId

from delivery.inbound.arrival import Arrival
from delivery.inbound.recipients import Recipient
from delivery.sending.enqueue import Queued, Submission, enqueueing
from delivery.sending.policy import OwnAddresses
from mail.compose import Draft, Mailbox, compose, new_message_id
from mail.headers import decode_words
from security.normalize import lookup_address, normalize_address
from storage.accounts.documents import User
from storage.addresses.documents import Owner
from storage.queue.received import Repeated
from storage.store import Store

log = structlog.get_logger()

_MOST_A_DAY = 2000
_MOST_REFERENCES = 20
_MACHINE = re.compile(
    r"mailer-daemon|no-?reply|\Apostmaster@|\Aowner-|-(?:request|owner|bounces?|relay)(?:\+[^@]*)?@|\Abounces?[+@\-]",
    re.I,
)
_BULK = ("list", "junk", "bulk")
_SUPPRESSING = re.compile(r"\b(?:OOF|AutoReply|All)\b", re.I)
_ANSWERED = "x-wd-autoreply-for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered, and for whom: `id` is what the memory of answers goes by."""

    id: ObjectId
    owner: Owner
    fields: Mapping[str, Any]
    name: str


class Autoreplies:
    """Answers messages. `silence` says why one is not answered, `queue` stages the answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_account(self, recipient: Recipient, account: User) -> Answer | None:
        """What an account answers at present, None where its automatic answer is off."""
        fields = self._store.autoreplies.find(account["_id"]) if account.get("autoreply") else None
        if not fields:
            return None
        name = fields.get("name") or recipient.registration.get("name") or account.get("name") or ""
        return Answer(id=fields["_id"], owner=account, fields=fields, name=name)

    def of_address(self, recipient: Recipient) -> Answer | None:
        """The same of a forwarded address."""
        address = recipient.registration
        fields = address.get("autoreply") or {}
        name = fields.get("name") or address.get("name") or ""
        return Answer(id=address["_id"], owner=address, fields=fields, name=name) if fields else None

    def silence(self, answer: Answer, arrival: Arrival, recipient: Recipient) -> str:
        """Why there is no answer, empty if there may be one; whether its sender had one lately is seen by `queue`."""
        return (
            _closed(answer.fields, self._store.clock())
            or _unanswerable(arrival)
            or self._not_meant(answer, arrival, recipient)
        )

    def _not_meant(self, answer: Answer, arrival: Arrival, recipient: Recipient) -> str:
        """An account answers mail that names it, and not its own (RFC 3834 §2)."""
        own = OwnAddresses(self._store, answer.owner)
        here = lookup_address(recipient.address)
        sender = lookup_address(arrival.envelope.sender)
        if sender == here or sender in own:
            return "own address"
        named = [*arrival.addresses("to"), *arrival.addresses("cc")]
        if any(lookup_address(address) == here or address in own for address in named):
            return ""
        return "not named in To or Cc"

    def queue(
        self, stack: ExitStack, answer: Answer, arrival: Arrival, recipient: Recipient, parent: ObjectId
    ) -> Queued | None:
        """Stage the answer; None if its sender had one recently. An error undoes it."""
        raw = compose(_draft(answer, arrival, recipient, parent, self._store.clock()))
        if not stack.enter_context(self._claimed(answer, arrival)):
            return None
        submission = Submission(
            user=answer.owner,
            raw=raw,
            sender="",
            recipients=[arrival.envelope.sender],
            send_at=self._store.clock(),
            parent=parent,
            origin=arrival.envelope.peer,
            automatic=True,
        )
        return stack.enter_context(enqueueing(self._store, submission))

    @contextmanager
    def _claimed(self, answer: Answer, arrival: Arrival) -> Iterator[bool]:
        """Return whether this message may be answered; the claim is given back if it could not be."""
        store, sender = self._store, normalize_address(arrival.envelope.sender)
        interval = timedelta(milliseconds=int(store.settings.get("const:autoreply:interval")))
        digest = arrival.digest
        if not store.answered.claim(answer.id, sender, interval, digest):
            yield False
            return
        daily = f"wda:{answer.id}"
        allowed = store.counters.add(daily, 1, _MOST_A_DAY).allowed
        try:
            yield allowed
        except BaseException as error:
            # Where another thread has delivered the very same message, the claim is its claim as well.
            if not isinstance(error, Repeated):
                store.answered.give_back(answer.id, sender, digest)
            if allowed:
                store.counters.give_back(daily, 1)
            raise


def _closed(fields: Mapping[str, Any], now: datetime) -> str:
    """Switched off, or outside its dates."""
    start, end = fields.get("start"), fields.get("end")
    if not fields.get("status"):
        return "switched off"
    if isinstance(start, datetime) and start > now:
        return "not yet"
    return "no longer" if isinstance(end, datetime) and end < now else ""


def _unanswerable(arrival: Arrival) -> str:
    """Machines, lists and bulk mail get no answer."""
    sender = arrival.envelope.sender
    if not sender or arrival.first("return-path").strip() == "<>":
        return "null sender"
    if _MACHINE.search(sender):
        return "sender is a machine"
    automatic = arrival.first("auto-submitted").partition(";")[0].strip().lower()
    if automatic not in ("", "no") or arrival.first(_ANSWERED):
        return "automatic message"
    if arrival.first("precedence").strip().lower() in _BULK:
        return "bulk mail"
    if any(name.startswith("list-") for name, _ in arrival.fields):
        return "mailing list"
    if any(_SUPPRESSING.search(value) for value in arrival.values("x-auto-response-suppress")):
        return "answers are suppressed"
    return "sender is forged" if arrival.is_disowned else ""


def _draft(answer: Answer, arrival: Arrival, recipient: Recipient, parent: ObjectId, now: datetime) -> Draft:
    fields: Any = answer.fields
    own = str(fields.get("subject") or "").strip()
    subject = own or f"Re: {decode_words(arrival.first('subject')).strip()}"
    message_id = arrival.first("message-id").strip()
    references = f"{arrival.first('references')} {message_id}".split()
    headers = [
        ("Auto-Submitted", "auto-replied"),
        ("X-WD-Autoreply-For", str(parent)),
        ("In-Reply-To", message_id),
        ("References", " ".join(list(dict.fromkeys(references))[-_MOST_REFERENCES:])),
    ]
    return Draft(
        sender=Mailbox(answer.name, recipient.address),
        date=now,
        message_id=new_message_id(recipient.address),
        to=[Mailbox("", arrival.envelope.sender)],
        subject=f"Auto: {subject}",
        text=fields.get("text") or "",
        html=fields.get("html") or "",
        headers=[(name, value) for name, value in headers if value],
    )
