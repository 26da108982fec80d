"""Bringing archived messages back."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from bson import ObjectId
from pymongo.errors import ConnectionFailure

from problems import MailboxNotFound, MessageNotFound, OverQuota, Problem, summary
from storage.accounts.users import Users
from storage.base.database import BAD_DOCUMENT, Clock, Databases, Session, Transactions, holding
from storage.base.settings import Settings
from storage.events.journal import Journal, exists
from storage.mailboxes.counts import MailboxCounts
from storage.mailboxes.documents import Mailbox
from storage.mailboxes.mailboxes import Mailboxes
from storage.mailboxes.retention import retention_fields
from storage.messages.archive import Archive
from storage.messages.documents import ArchivedMessage, Message
from storage.messages.message_events import MessageEvents
from storage.messages.messages import Messages

log = structlog.get_logger()


class Restoring:
    """Brings archived messages back. One keeps its id, its thread and its references to attachments."""

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
        archive: Archive,
        journal: Journal,
        messages: Messages,
        message_events: MessageEvents,
    ) -> None:
        self._collection = holding(databases.main["messages"], Message)
        self._clock = clock
        self._transactions = transactions
        self._settings = settings
        self._users = users
        self._mailboxes = mailboxes
        self._mailbox_counts = mailbox_counts
        self._archive = archive
        self._journal = journal
        self._messages = messages
        self._message_events = message_events

    def restore(self, user: ObjectId, copy: ObjectId, mailbox: ObjectId | None = None) -> tuple[Mailbox, int]:
        """Put an archived message into a mailbox, else where it came from, else into INBOX; mailbox and new UID.

        A copy whose message exists, left by a WildDuck that ended between two steps, does not count.
        Raises MessageNotFound, MailboxNotFound or OverQuota.
        """
        archived = self._archive.get(user, copy)
        if self._messages.exists(copy):
            self._archive.discard([copy])
            raise MessageNotFound
        place = self._target(user, mailbox, archived["mailbox"])
        row = self._transactions.run(lambda session: self._put_back(archived, place, session))
        return place, int(row["uid"])

    def _target(self, user: ObjectId, chosen: ObjectId | None, original: ObjectId) -> Mailbox:
        mailboxes = {m["_id"]: m for m in self._mailboxes.of_user(user)}
        inbox = next((m for m in mailboxes.values() if m["path"] == "INBOX"), None)
        place = mailboxes.get(chosen or original) or inbox
        if not place:
            raise MailboxNotFound
        return place

    def _put_back(self, archived: ArchivedMessage, place: Mailbox, session: Session) -> Message:
        """Who removes the archived copy first restores it; without transactions it is removed last, so none is lost."""
        user = archived["user"]
        if session and not self._archive.take(archived["_id"], session):
            raise MessageNotFound
        quota = int(self._settings.get("const:max:storage"))
        if not self._users.reserve_storage(user, archived["size"], quota, session=session):
            raise OverQuota
        unseen = int(archived["unseen"])
        before = self._mailboxes.allocate(place["_id"], uids=1, total=1, unseen=unseen, session=session)
        row = self._restored(archived, before)
        row["uid"], row["modseq"] = before["uidNext"], before["modifyIndex"] + 1
        self._collection.insert_one(row, session=session)
        junk = int(bool(row.get("junk"))) - int(bool(archived.get("junk")))
        self._journal.append(user, place["_id"], [exists(row, junk)], session=session)
        if junk:
            kind = "marked.spam" if junk > 0 else "marked.ham"
            self._message_events.emit_for(kind, user, place["_id"], [row["_id"]], session)
        self._mailbox_counts.settle(place["_id"], session)
        if session is None:
            self._archive.take(archived["_id"], None)
        return row

    def _restored(self, archived: ArchivedMessage, place: Mailbox) -> Message:
        """Not marked as deleted any more: the next EXPUNGE would take it again."""
        row: ArchivedMessage = {
            **archived,
            **retention_fields(place, self._clock()),
            "mailbox": place["_id"],
            "flags": [flag for flag in archived["flags"] if flag != "\\Deleted"],
            "undeleted": True,
            "searchable": True,
        }
        row.pop("archived", None)
        row.pop("junk", None)
        if row["rdate"] is None:
            del row["rdate"]
        use = place.get("specialUse")
        if use == "\\Junk" or (use == "\\Trash" and archived.get("junk")):
            row["junk"] = True
        return row

    def restore_all(
        self, user: ObjectId, copies: Sequence[ObjectId], mailbox: ObjectId
    ) -> tuple[int, list[ObjectId]]:
        """Put archived messages into a mailbox; how many, and which could not be, so that they stay in the archive.

        Those that are gone meanwhile are passed over.
        """
        restored, failed = 0, []
        for copy in copies:
            try:
                self.restore(user, copy, mailbox)
            except ConnectionFailure:
                raise
            except MessageNotFound:
                continue
            except (Problem, *BAD_DOCUMENT) as error:
                log.warning("a message was not restored", message=str(copy), reason=summary(error))
                failed.append(copy)
            else:
                restored += 1
        return restored, failed
