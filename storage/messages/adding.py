"""Storing a message."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from mail.headers import decoded_addresses, flat_addresses
from mail.message import WHOLE, Indexed, index, kept_whole
from mail.threads import normalise_subject
from problems import MessageTooLarge, OverQuota, summary
from storage.accounts.documents import User
from storage.base.database import Document, may_be_committed
from storage.events.journal import exists
from storage.mailboxes.documents import Mailbox
from storage.mailboxes.retention import retention_fields
from storage.messages.base import own_fields, to_fit
from storage.messages.encrypting import EncryptMessages

log = structlog.get_logger()

LARGEST = 67_108_864
_OFFLOADED = 32 * 1024
_AUTOMATIC = ("list-id", "auto-submitted", "x-auto-response-suppress")


def _run(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


class AddMessages(EncryptMessages):
    """The way in, the same for uploads, submissions and deliveries."""

    def add(
        self,
        user: User,
        mailbox: Mailbox,
        raw: bytes,
        *,
        meta: Document,
        flags: Sequence[str] = (),
        date: datetime | None = None,
        outbound: str | Sequence[str] | None = None,
        thread_of: Document | None = None,
        verification_results: Document | None = None,
        filters: Sequence[ObjectId | str] = (),
        forward_targets: Sequence[Document] | None = None,
        message_id: ObjectId | None = None,
        known: Indexed | None = None,
        together: Callable[[ClientSession | None], None] | None = None,
        event: str | None = None,
        offload: Callable[..., Any] = _run,
    ) -> Document:
        """Store a message and return its document.

        Quota, UID, document, journal entry and the copies for audits come about together or not at all, and so does
        what `together` writes, which runs first. `thread_of` is the message that this one answers, `outbound` the
        ids under which it was queued, `filters` what matched when it came in, `message_id` its `_id` where that is
        known before, `known` the index of `raw` where the caller has it already, `event` what webhooks are told of it.
        Where account or mailbox want it, all but drafts is stored encrypted.
        Raises Problem: MessageTooLarge, OverQuota, MailboxNotFound, MessageNotEncrypted.
        """
        if len(raw) > LARGEST:
            raise MessageTooLarge
        stored = raw if "\\Draft" in flags else self._for_owner(user, mailbox, raw, offload)
        now = self._store.clock()
        indexed = known if known and stored is raw else None
        indexed = indexed or (offload if len(stored) > _OFFLOADED else _run)(index, stored, date or now)
        indexed = to_fit(indexed, stored, date or now)
        self._check_quota(user, indexed.document["size"])
        magic = random.randrange(65536)
        hashes = self._store.attachments.store(indexed.bodies, magic)
        try:
            indexed = self._kept_exactly(indexed, stored, magic)
            document = self._document(user, mailbox, indexed, flags, date or now)
            document.update(_id=message_id or document["_id"], root=message_id or document["_id"])
            document.update(meta=meta, magic=magic, thread=self._thread(user["_id"], indexed, thread_of))
            document.update(_delivery(verification_results, filters, outbound, forward_targets))
            _note_hashes(document, indexed, hashes)
            self._store.transactions.run(
                lambda session: self._insert(document, stored, together, event, session)
            )
        except Exception as error:
            if not may_be_committed(error):
                self._store.attachments.release([body.hash for body in indexed.bodies], magic)
            raise
        self._note_addresses(user["_id"], mailbox, document)
        return document

    def _kept_exactly(self, indexed: Indexed, raw: bytes, magic: int) -> Indexed:
        """With its source as a further body where it shares a file that does not give its text back."""
        if indexed.layout == [WHOLE] or not self._store.attachments.alters(indexed.bodies):
            return indexed
        whole = kept_whole(indexed, raw)
        self._store.attachments.store(whole.bodies[-1:], magic)
        return whole

    def _check_quota(self, user: User, size: int) -> None:
        """An early look, so that hopeless messages cost little; the binding check is part of the insert."""
        if user.get("storageUsed", 0) + size > (user.get("quota") or self._default_quota()):
            raise OverQuota

    def _default_quota(self) -> int:
        return int(self._store.settings.get("const:max:storage"))

    def _document(
        self,
        user: User,
        mailbox: Mailbox,
        indexed: Indexed,
        flags: Sequence[str],
        received: datetime,
    ) -> Document:
        message_id = ObjectId()
        document: Document = {
            "_id": message_id,
            "root": message_id,
            "v": "1.0",
            "user": user["_id"],
            "mailbox": mailbox["_id"],
            "idate": received,
            **flag_fields(flags),
            "userDeleted": False,
            "copied": False,
            **indexed.document,
        }
        if mailbox.get("specialUse") == "\\Junk":
            document["junk"] = True
        document["mallard"] = own_fields(indexed)
        return document

    def _thread(self, user: ObjectId, indexed: Indexed, thread_of: Document | None) -> ObjectId:
        threads = self._store.threads
        if thread_of and normalise_subject(thread_of.get("subject") or "") == indexed.thread_subject:
            return threads.join_that(thread_of["thread"], user, indexed.thread_subject, indexed.thread_ids)
        return threads.join(user, indexed.thread_subject, indexed.thread_ids)

    def _insert(
        self,
        document: Document,
        stored: bytes,
        together: Callable[[ClientSession | None], None] | None,
        event: str | None,
        session: ClientSession | None,
    ) -> None:
        store = self._store
        if together:
            together(session)
        size, user, mailbox = document["size"], document["user"], document["mailbox"]
        if not store.users.reserve_storage(user, size, self._default_quota(), session=session):
            raise OverQuota
        audits: list[ObjectId] = []
        try:
            audits = store.audits.capture(document, stored, session)
            self._place(document, session)
        except Exception:
            if session is None:
                store.users.release_storage(user, size)
                store.audits.forget(audits, document["_id"])
            raise
        finally:
            self._settle(mailbox, session)
        store.journal.append(user, mailbox, [exists(document)], session=session)
        if event:
            self.emit_for(event, user, mailbox, [document["_id"]], session)

    def _place(self, document: Document, session: ClientSession | None) -> None:
        """Give a document its UID, its modification sequence and the retention of this very moment, and insert it."""
        unseen = int(document["unseen"])
        before = self._store.mailboxes.allocate(
            document["mailbox"], uids=1, total=1, unseen=unseen, session=session
        )
        document.pop("rdate", None)  # of an attempt that was not committed
        document.update(without_none(retention_fields(before, self._store.clock())))
        document.update(uid=before["uidNext"], modseq=before["modifyIndex"] + 1)
        self._collection.insert_one(document, session=session)

    def _note_addresses(self, user: ObjectId, mailbox: Mailbox, document: Document) -> None:
        """Whom the account exchanges mail with; not spam, drafts, lists or machines.

        The message is stored by now, so a failure here must not tell the caller that it is not.
        """
        headers = document["mimeTree"]["parsedHeader"]
        if document.get("junk") or document["draft"] or any(name in headers for name in _AUTOMATIC):
            return
        names = ("to", "cc", "bcc") if mailbox.get("specialUse") == "\\Sent" else ("from",)
        entries = [entry for name in names for entry in _plain_addresses(headers, name)]
        people = {e["address"]: e["name"] for e in entries}
        try:
            self._store.address_register.note(user, people)
        except PyMongoError as error:
            log.warning("addresses were not noted", user=str(user), reason=summary(error))


def _plain_addresses(headers: Mapping[str, Any], name: str) -> list[Document]:
    """Members of groups are left out."""
    entries = [entry for entry in headers.get(name) or () if "group" not in entry]
    return list(flat_addresses(decoded_addresses(entries)))


def _delivery(
    verification_results: Document | None,
    filters: Sequence[ObjectId | str],
    outbound: str | Sequence[str] | None,
    forward_targets: Sequence[Document] | None,
) -> Document:
    """What is known of how a message came and where it went on to."""
    queued = [outbound] if isinstance(outbound, str) else list(outbound or ())
    optional = {
        "verificationResults": verification_results,
        "outbound": queued or None,
        "forwardTargets": list(forward_targets) if forward_targets else None,
    }
    return {"filters": list(filters), **without_none(optional)}


def _note_hashes(document: Document, indexed: Indexed, hashes: Mapping[bytes, str | None]) -> None:
    by_id = {body.id: hashes.get(body.hash) for body in indexed.bodies}
    for attachment in document.get("attachments", ()):
        if content_hash := by_id[attachment["id"]]:
            attachment["fileContentHash"] = content_hash


def flag_fields(flags: Sequence[str]) -> Document:
    """`flags` with the fields that mirror them; `searchable` is only there while it is true."""
    fields: Document = {
        "flags": list(flags),
        "unseen": "\\Seen" not in flags,
        "undeleted": "\\Deleted" not in flags,
        "flagged": "\\Flagged" in flags,
        "draft": "\\Draft" in flags,
    }
    return {**fields, "searchable": True} if fields["undeleted"] else fields


def without_none(fields: Document) -> Document:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
