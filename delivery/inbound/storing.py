"""The way in of a message for one recipient: what its rules say, where it is stored, what goes on from it.

All of it happens in one transaction: the record that this was delivered, the stored message, and the entries of
the queue for what is forwarded and answered. So a crash leaves either nothing, and the MTA sends it again, or
everything, and the record shows the second time that it is done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import structlog
from bson import ObjectId

from delivery.inbound.arrival import Arrival, delivery_fields
from delivery.inbound.decision import Decision, classification_lines, decided
from delivery.inbound.deduplication import copy_keys, retry_key
from delivery.inbound.forwarding import Forwarding, united_targets
from delivery.inbound.leaving import Leaving
from delivery.inbound.recipients import Recipient
from delivery.inbound.replies import TEMPORARY, Refused
from mail.message import index
from mail.rewrite import split
from problems import MessageNotEncrypted, Problem
from security.encryption import EncryptionFailed, encrypt_for_owner
from storage.addresses.documents import Target
from storage.base.database import Session
from storage.mailboxes.documents import Mailbox
from storage.messages.documents import Message
from storage.messages.encrypting import wants_encryption
from storage.messages.intake import NewMessage
from storage.queue.received import Key, Known, Repeated
from storage.store import Store

log = structlog.get_logger()

_TRIES = 5
_PAUSE_SECONDS = 0.05
_LOCKS = 256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message for one recipient: `stored`, `dropped`, `forwarded` or `repeated`, and its id.

    `message` is the document of one that was stored.
    """

    what: str
    id: ObjectId
    message: Message | None = field(default=None, compare=False, repr=False)

    @property
    def reply(self) -> str:
        """The reply to the client."""
        match self.what:
            case "stored" | "forwarded":
                return f"250 2.1.5 Message {self.what} as {self.id}"
            case "repeated":
                return f"250 2.1.5 Message dropped as duplicate of {self.id}"
        return f"250 2.1.5 Message dropped by policy as {self.id}"


@dataclass(frozen=True, slots=True)
class _Case:
    """A message for an account, what is to become of it, and what makes it the same when it comes again."""

    arrival: Arrival
    recipient: Recipient
    decision: Decision
    keys: Sequence[Key]


class Inbound:
    """Delivers messages to recipients. Methods block, so they belong into threads; any number may run at once."""

    def __init__(self, store: Store, loop_secret: str) -> None:
        self._store = store
        self._forwarding = Forwarding(store, loop_secret)
        self._account_locks = [Lock() for _ in range(_LOCKS)]

    def deliver(self, arrival: Arrival, recipient: Recipient) -> Outcome:
        """Store a message for its recipient and do what follows from it; what it says it did is on disk.

        Raises Refused, Problem or DatabaseError, after which nothing of it has happened.
        """
        first = retry_key(arrival, recipient)
        for attempt in range(_TRIES):
            try:
                # Hardly any message comes twice, so the first attempt does not look; the record would refuse it.
                known = self._store.received.known([first]) if attempt else None
                outcome = self._attempt(arrival, recipient, first, known)
            except Repeated:
                time.sleep(_PAUSE_SECONDS * attempt)
                continue
            self._log(arrival, recipient, outcome)
            return outcome
        raise Refused(TEMPORARY)

    def _attempt(self, arrival: Arrival, recipient: Recipient, first: Key, known: Known | None) -> Outcome:
        """Deliver once. A mailbox that is full, perhaps of this very message, has the message all the same."""
        to_one = self._to_account if recipient.account else self._to_forwarded
        try:
            return to_one(arrival, recipient, first, known)
        except (Refused, Problem):
            known = self._store.received.known([first])
            if known and known.done:
                return Outcome("repeated", known.message)
            raise

    def _log(self, arrival: Arrival, recipient: Recipient, outcome: Outcome) -> None:
        """The one line of the log about a delivery, written once it is certain."""
        log.info(
            "delivered",
            transaction=str(arrival.envelope.id),
            sender=arrival.envelope.sender,
            recipient=recipient.address,
            outcome=outcome.what,
            message=str(outcome.id),
        )

    def _to_account(self, arrival: Arrival, recipient: Recipient, first: Key, known: Known | None) -> Outcome:
        if known and known.done:
            return Outcome("repeated", known.message)
        message_id = _id_for(known)
        decision = decided(self._store, arrival, recipient)
        others = copy_keys(arrival, decision.mailbox["_id"]) if decision.mailbox else []
        if others and (twin := self._store.received.known(others, message_id)):
            return Outcome("repeated", twin.message)
        with Leaving(self._store, self._forwarding, arrival, recipient, message_id) as leaving:
            return self._carry_out(_Case(arrival, recipient, decision, [first, *others]), leaving)

    def _carry_out(self, case: _Case, leaving: Leaving) -> Outcome:
        """Spam is neither forwarded nor answered; what is dropped goes to the targets of filters alone."""
        account, decision = case.recipient.user, case.decision
        own = account.get("targets") if decision.mailbox else None
        targets = united_targets(self._store, account["_id"], decision.verdict.targets, own or ())
        if targets and not decision.verdict.spam:
            leaving.forward_if_possible(account, targets)
        if decision.mailbox is None:
            self._drop(case, leaving)
            return Outcome("dropped", leaving.message_id)
        if not decision.verdict.spam:
            leaving.answer(account)
        message = self._keep(case, decision.mailbox, targets, leaving)
        return Outcome("stored", leaving.message_id, message)

    def _drop(self, case: _Case, leaving: Leaving) -> None:
        """Copy what is kept nowhere else into the audits that run."""
        store, raw, came = self._store, case.decision.raw, case.arrival.envelope.time
        message: dict[str, object] = {
            **(case.decision.known or index(raw, came)).document,
            "_id": leaving.message_id,
            "user": case.recipient.user["_id"],
            "idate": came,
            "meta": case.arrival.meta(case.recipient.address),
            "outbound": leaving.ids,
        }

        def steps(session: Session) -> None:
            self._record(case.keys, leaving, session)
            store.audits.capture(message, raw, session)

        store.transactions.run(steps)
        self._finish(case.keys, leaving)

    def _keep(self, case: _Case, mailbox: Mailbox, targets: Sequence[Target], leaving: Leaving) -> Message:
        store, new = self._store, _new_message(case, mailbox, targets, leaving)

        def steps(session: Session) -> Message:
            self._record(case.keys, leaving, session)
            return store.intake.insert(prepared, session)

        # Two transactions on one account conflict: one of them would have to start again.
        with self._account_locks[hash(case.recipient.user["_id"]) % _LOCKS]:
            with store.intake.prepare(new) as prepared:
                message = store.transactions.run(steps)
            self._finish(case.keys, leaving)
        return message

    def _record(self, keys: Sequence[Key], leaving: Leaving, session: Session) -> None:
        """The first steps of a delivery's transaction: note that it is made, and send what leaves. Raises Repeated."""
        self._store.received.record(keys, leaving.message_id, session)
        if session is not None:
            leaving.release(session)

    def _finish(self, keys: Sequence[Key], leaving: Leaving) -> None:
        """Without transactions what leaves is sent after the message is stored, and only then the delivery is done."""
        if not self._store.transactions.available:
            leaving.release()
            self._store.received.finish(keys)

    def _to_forwarded(
        self, arrival: Arrival, recipient: Recipient, first: Key, known: Known | None
    ) -> Outcome:
        """A forwarded address keeps nothing, so what cannot be forwarded is refused."""
        address = recipient.registration
        if known and known.done:
            return Outcome("repeated", known.message)
        targets = [] if address.get("forwardedDisabled") else address.get("targets") or []
        with Leaving(self._store, self._forwarding, arrival, recipient, _id_for(known)) as leaving:
            if targets:
                leaving.forward(address, targets)
            leaving.answer()
            self._store.transactions.run(lambda session: self._record([first], leaving, session))
            self._finish([first], leaving)
            return Outcome("forwarded" if targets else "dropped", leaving.message_id)


def _new_message(case: _Case, mailbox: Mailbox, targets: Sequence[Target], leaving: Leaving) -> NewMessage:
    arrival, recipient, decision = case.arrival, case.recipient, case.decision
    raw = _encrypted(decision.raw, mailbox, arrival, recipient)
    return NewMessage(
        user=recipient.user,
        mailbox=mailbox,
        raw=raw,
        meta=arrival.meta(recipient.address),
        flags=decision.verdict.flags,
        date=arrival.envelope.time,
        outbound=leaving.ids,
        verification_results=arrival.verification,
        filters=decision.matched,
        forward_targets=[{"type": t["type"], "value": t["value"]} for t in targets],
        message_id=leaving.message_id,
        known_index=decision.known if raw is decision.raw else None,
        event="message.received",
    )


def _encrypted(raw: bytes, mailbox: Mailbox, arrival: Arrival, recipient: Recipient) -> bytes:
    """The message as it is stored: itself, or encrypted where account or mailbox want that and it is not yet.

    The encrypted one has `Delivered-To` and `Return-Path` in front, and the classification, as WildDuck has it.
    Raises MessageNotEncrypted: what should be secret is not stored in clear.
    """
    account = recipient.user
    if not wants_encryption(account, mailbox):
        return raw
    try:
        encrypted = encrypt_for_owner(raw, account)
    except EncryptionFailed as error:
        raise MessageNotEncrypted from error
    if encrypted is raw:
        return raw
    header, body = split(encrypted)
    trace = delivery_fields(recipient.address, arrival.envelope.sender)
    return trace + header + classification_lines(raw) + b"\r\n" + body


def _id_for(known: Known | None) -> ObjectId:
    """The id of an attempt that a crash cut short, else a new one."""
    return known.message if known else ObjectId()
