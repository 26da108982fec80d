"""Storing a message: the one way in, shared by uploads, submissions, imports and deliveries.

In two steps, so that a caller's own steps can join the second in one transaction:

    with store.intake.prepare(NewMessage(user=account, mailbox=mailbox, raw=raw), offload) as prepared:
        row = store.transactions.run(lambda session: store.intake.insert(prepared, session))
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from mail.content import Body
from mail.headers import HeaderAddress, ParsedHeader, decoded_addresses, flat_addresses
from mail.message import WHOLE, Indexed, index, kept_whole
from mail.threads import normalize_subject
from problems import MessageTooLarge, OverQuota, summary
from security.offload import Offload, run_here
from storage.accounts.documents import User
from storage.accounts.users import Users
from storage.addresses.documents import Target
from storage.addresses.register import AddressRegister
from storage.audits.audits import Audits
from storage.base.database import Clock, Databases, Session, Transactions, holding, may_be_committed
from storage.base.settings import Settings
from storage.events.journal import Journal, exists
from storage.mailboxes.counts import MailboxCounts
from storage.mailboxes.documents import Mailbox
from storage.mailboxes.mailboxes import Mailboxes
from storage.mailboxes.retention import retention_fields
from storage.messages.attachments import Attachments
from storage.messages.documents import Message, Meta, flag_fields, own_fields, to_fit
from storage.messages.encrypting import encrypted_at_rest
from storage.messages.message_events import MessageEvents
from storage.messages.threads import Threads

log = structlog.get_logger()

LARGEST = 67_108_864
"""The largest message that is stored, in bytes."""
_OFFLOADED = 32 * 1024
_AUTOMATIC = ("list-id", "auto-submitted", "x-auto-response-suppress")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """What is to be stored, and where."""

    user: User
    """The account that it belongs to."""
    mailbox: Mailbox
    """The mailbox that it goes to."""
    raw: bytes
    """The message as it came."""
    meta: Meta = field(default_factory=dict)
    """How it came: source, envelope, transport, and what the caller wants remembered."""
    flags: Sequence[str] = ()
    """IMAP flags and labels. A draft (`\\Draft`) is never encrypted."""
    date: datetime | None = None
    """When it was received; now without one."""
    outbound: Sequence[str] = ()
    """The ids under which it was queued."""
    thread_of: Message | None = None
    """The stored message that it answers: it joins that one's thread if the subject is the same."""
    verification_results: Mapping[str, Any] | None = None
    """What SPF, DKIM, DMARC and BIMI said when it came in."""
    filters: Sequence[ObjectId | str] = ()
    """The filters that matched when it came in."""
    forward_targets: Sequence[Target] = ()
    """Where it was forwarded to, `type` and `value` of each."""
    message_id: ObjectId | None = None
    """Its `_id`, where that is known before."""
    known_index: Indexed | None = None
    """The index of `raw`, where the caller has it already."""
    event: str | None = None
    """The event that webhooks get when it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedMessage:
    """A message that is encrypted and indexed, with its attachments stored; ready to be inserted."""

    document: Message
    """The document without `uid`, `modseq` and retention, which the mailbox decides."""
    stored: bytes
    """Its bytes as they are kept."""
    event: str | None


class Intake:
    """Stores messages."""

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        *,
        transactions: Transactions,
        settings: Settings,
        users: Users,
        mailboxes: Mailboxes,
        mailbox_counts: MailboxCounts,
        attachments: Attachments,
        threads: Threads,
        audits: Audits,
        journal: Journal,
        message_events: MessageEvents,
        address_register: AddressRegister,
    ) -> None:
        self._collection = holding(databases.main["messages"], Message)
        self._clock = clock
        self._transactions = transactions
        self._settings = settings
        self._users = users
        self._mailboxes = mailboxes
        self._mailbox_counts = mailbox_counts
        self._attachments = attachments
        self._threads = threads
        self._audits = audits
        self._journal = journal
        self._message_events = message_events
        self._address_register = address_register

    def add(self, new: NewMessage, offload: Offload = run_here) -> Message:
        """Store a message for a caller without further steps, and return its document. Raises what the steps raise."""
        with self.prepare(new, offload) as prepared:
            return self._transactions.run(lambda session: self.insert(prepared, session))

    @contextmanager
    def prepare(self, new: NewMessage, offload: Offload = run_here) -> Iterator[PreparedMessage]:
        """Encrypt a message where account or mailbox want it, index it, and store its attachments.

        The block holds the transaction that inserts it, and nothing after that: an error in the block gives the
        attachments back, unless the transaction may have been committed. Once the block is done, the addresses of the
        message are noted.
        Raises MessageTooLarge, OverQuota or MessageNotEncrypted.
        """
        if len(new.raw) > LARGEST:
            raise MessageTooLarge
        received = new.date or self._clock()
        stored = _stored_form(new, offload)
        indexed = _indexed(new, stored, received, offload)
        self._check_quota(new.user, indexed.document["size"])
        magic = random.randrange(65536)
        hashes = self._attachments.store(indexed.bodies, magic)
        try:
            indexed = self._kept_exactly(indexed, stored, magic)
            document = self._document(new, indexed, received, magic)
            _note_hashes(document, indexed.bodies, hashes)
            yield PreparedMessage(document=document, stored=stored, event=new.event)
        except Exception as error:
            if not may_be_committed(error):
                self._attachments.release([body.hash for body in indexed.bodies], magic)
            raise
        self._note_addresses(new.user["_id"], new.mailbox, document)

    def insert(self, prepared: PreparedMessage, session: Session) -> Message:
        """Store a prepared message: quota, copies for audits, UID, document, journal entry and event; its document.

        One step of a transaction, and may run several times with the same message. Without transactions an error
        gives quota and copies back. Raises OverQuota or MailboxNotFound.
        """
        document = prepared.document
        size, user, mailbox = document["size"], document["user"], document["mailbox"]
        if not self._users.reserve_storage(user, size, self._default_quota(), session=session):
            raise OverQuota
        audits: list[ObjectId] = []
        try:
            audits = self._audits.capture(document, prepared.stored, session)
            row = self._place(document, session)
        except Exception:
            if session is None:
                self._users.release_storage(user, size)
                self._audits.forget(audits, document["_id"])
            raise
        finally:
            self._mailbox_counts.settle(mailbox, session)
        self._journal.append(user, mailbox, [exists(row)], session=session)
        if prepared.event:
            self._message_events.emit_for(prepared.event, user, mailbox, [row["_id"]], session)
        return row

    def _place(self, document: Message, session: Session) -> Message:
        """Insert with the UID, the modification sequence and the retention that the mailbox has at this moment."""
        before = self._mailboxes.allocate(
            document["mailbox"], uids=1, total=1, unseen=int(document["unseen"]), session=session
        )
        row: Message = {
            **document,
            **retention_fields(before, self._clock()),
            "uid": before["uidNext"],
            "modseq": before["modifyIndex"] + 1,
        }
        if row["rdate"] is None:
            del row["rdate"]
        self._collection.insert_one(row, session=session)
        return row

    def _kept_exactly(self, indexed: Indexed, raw: bytes, magic: int) -> Indexed:
        """With its source as a further body where it shares a file that does not give its text back."""
        if indexed.layout == [WHOLE] or not self._attachments.alters(indexed.bodies):
            return indexed
        whole = kept_whole(indexed, raw)
        self._attachments.store(whole.bodies[-1:], magic)
        return whole

    def _check_quota(self, user: User, size: int) -> None:
        """An early look, so that hopeless messages cost little; the binding check is part of the insert."""
        if user.get("storageUsed", 0) + size > (user.get("quota") or self._default_quota()):
            raise OverQuota

    def _default_quota(self) -> int:
        return int(self._settings.get("const:max:storage"))

    def _document(self, new: NewMessage, indexed: Indexed, received: datetime, magic: int) -> Message:
        message_id = new.message_id or ObjectId()
        document: Message = {
            "_id": message_id,
            "root": message_id,
            "v": "1.0",
            "user": new.user["_id"],
            "mailbox": new.mailbox["_id"],
            "idate": received,
            **flag_fields(new.flags),
            "userDeleted": False,
            "copied": False,
            **cast("Message", indexed.document),  # it has some of a message's fields, and no others
            "mallard": own_fields(indexed),
            "meta": new.meta,
            "magic": magic,
            "thread": self._thread(new.user["_id"], indexed, new.thread_of),
            "filters": list(new.filters),
        }
        if new.mailbox.get("specialUse") == "\\Junk":
            document["junk"] = True
        if new.verification_results is not None:
            document["verificationResults"] = new.verification_results
        if new.outbound:
            document["outbound"] = list(new.outbound)
        if new.forward_targets:
            document["forwardTargets"] = list(new.forward_targets)
        return document

    def _thread(self, user: ObjectId, indexed: Indexed, thread_of: Message | None) -> ObjectId:
        threads = self._threads
        if thread_of and normalize_subject(thread_of.get("subject") or "") == indexed.thread_subject:
            return threads.join_that(thread_of["thread"], user, indexed.thread_subject, indexed.thread_ids)
        return threads.join(user, indexed.thread_subject, indexed.thread_ids)

    def _note_addresses(self, user: ObjectId, mailbox: Mailbox, document: Message) -> None:
        """Note whom the account exchanges mail with; not spam, drafts, lists or machines.

        The message is stored already, so a failure here must not look to the caller as if it were not.
        """
        headers = document["mimeTree"]["parsedHeader"]
        if document.get("junk") or document["draft"] or any(name in headers for name in _AUTOMATIC):
            return
        names = ("to", "cc", "bcc") if mailbox.get("specialUse") == "\\Sent" else ("from",)
        entries = [entry for name in names for entry in _plain_addresses(headers, name)]
        people = {e["address"]: e["name"] for e in entries}
        try:
            self._address_register.note(user, people)
        except PyMongoError as error:
            log.warning("addresses were not noted", user=str(user), reason=summary(error))


def _stored_form(new: NewMessage, offload: Offload) -> bytes:
    """The bytes that are kept. Drafts stay readable, as they are still to be sent."""
    if "\\Draft" in new.flags:
        return new.raw
    return encrypted_at_rest(new.user, new.mailbox, new.raw, offload)


def _indexed(new: NewMessage, stored: bytes, received: datetime, offload: Offload) -> Indexed:
    """The index of what is kept; only a large message is worth the way to another thread."""
    if new.known_index and stored is new.raw:
        indexed = new.known_index
    elif len(stored) > _OFFLOADED:
        indexed = offload(index, stored, received)
    else:
        indexed = index(stored, received)
    return to_fit(indexed, stored, received)


def _plain_addresses(headers: ParsedHeader, name: str) -> list[HeaderAddress]:
    """Members of groups are left out."""
    entries = [entry for entry in headers.get(name) or () if "group" not in entry]
    return list(flat_addresses(decoded_addresses(entries)))


def _note_hashes(document: Message, bodies: Sequence[Body], hashes: Mapping[bytes, str | None]) -> None:
    by_id = {body.id: hashes.get(body.hash) for body in bodies}
    for attachment in document.get("attachments", ()):
        if content_hash := by_id[attachment["id"]]:
            attachment["fileContentHash"] = content_hash
