"""Deleting messages: one, or all of a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from bson import ObjectId
from pymongo.errors import ConnectionFailure

from problems import MailboxNotFound, MessageNotFound, summary
from storage.accounts.users import Users
from storage.base.database import BAD_DOCUMENT, SWEEP_MS, Condition, Databases, Session, Transactions, holding
from storage.events.journal import Journal, expunge
from storage.mailboxes.counts import MailboxCounts
from storage.mailboxes.mailboxes import Mailboxes
from storage.messages.archive import Archive
from storage.messages.attachments import Attachments
from storage.messages.documents import Message

log = structlog.get_logger()

_BATCH = 50
_OF_REMOVAL = dict.fromkeys(
    ("uid", "thread", "unseen", "flags", "size", "magic", "userDeleted", "copied", "mimeTree.attachmentMap"),
    1,
)


@dataclass(frozen=True, slots=True)
class RemovalRule:
    """Which of the messages go to the archive, and what must still hold of a message for it to be deleted."""

    archives: Callable[[Message], bool]
    only: Condition = field(default_factory=dict)


BUT_DRAFTS = RemovalRule(lambda row: "\\Draft" not in row["flags"])
FOR_GOOD = RemovalRule(lambda row: False)


class Removal:
    """Removes messages. They go to the archive, drafts for good."""

    def __init__(
        self,
        databases: Databases,
        *,
        transactions: Transactions,
        users: Users,
        mailboxes: Mailboxes,
        mailbox_counts: MailboxCounts,
        archive: Archive,
        attachments: Attachments,
        journal: Journal,
    ) -> None:
        self._collection = holding(databases.main["messages"], Message)
        self._transactions = transactions
        self._users = users
        self._mailboxes = mailboxes
        self._mailbox_counts = mailbox_counts
        self._archive = archive
        self._attachments = attachments
        self._journal = journal

    def delete(self, user: ObjectId, mailbox: ObjectId, uid: int) -> None:
        """Delete a message, also where its mailbox is gone already. Raises MessageNotFound."""
        found = self._collection.find_one({"mailbox": mailbox, "uid": uid, "user": user}, {"_id": 1})
        if not found:
            raise MessageNotFound
        if not self._delete(user, mailbox, [found["_id"]], BUT_DRAFTS):
            raise MessageNotFound

    def take_draft(self, draft: Message, session: Session) -> None:
        """Remove a draft for good as one step of sending it. Raises MessageNotFound if it is none any more.

        Its references to attachments are given back with `release_files`, once all steps are done.
        """
        gone = self._delete_step(draft["user"], draft["mailbox"], [draft["_id"]], FOR_GOOD, session)
        if not gone or "\\Draft" not in gone[0]["flags"]:
            raise MessageNotFound

    def release_files(self, message: Message, session: Session = None) -> None:
        """Give back the references to attachments of a message that is gone, one for each time it used them."""
        files = (message["mimeTree"].get("attachmentMap") or {}).values()
        self._attachments.release(files, message["magic"], session=session)

    def delete_all(self, user: ObjectId, mailbox: ObjectId, *, skip_archive: bool = False) -> tuple[int, int]:
        """Delete the messages that are in a mailbox now, the newest first; how many went, and how many could not.

        Raises MailboxNotFound.
        """
        below: int = self._mailboxes.get(user, mailbox)["uidNext"]
        deleted = errors = 0
        while below:
            gone, failed, below = self.delete_some(user, mailbox, below, skip_archive=skip_archive)
            deleted, errors = deleted + gone, errors + failed
        return deleted, errors

    def delete_some(
        self, user: ObjectId, mailbox: ObjectId, below: int, *, skip_archive: bool = False
    ) -> tuple[int, int, int]:
        """Delete a batch of messages with UIDs below one; how many went, how many could not, and the lowest UID.

        The last is 0 if nothing was removed.
        """
        condition = {"mailbox": mailbox, "user": user, "uid": {"$lt": below}}
        rows = self._collection.find(condition, {"uid": 1}, max_time_ms=SWEEP_MS).sort("uid", -1)
        batch = list(rows.limit(_BATCH))
        if not batch:
            return 0, 0, 0
        ids = [row["_id"] for row in batch]
        gone, failed = self.remove_batch(user, mailbox, ids, FOR_GOOD if skip_archive else BUT_DRAFTS)
        return gone, failed, batch[-1]["uid"]

    def remove_batch(
        self, user: ObjectId, mailbox: ObjectId, ids: list[ObjectId], rule: RemovalRule
    ) -> tuple[int, int]:
        """All in one; where that fails one after the other, so that one bad message keeps none of the others."""
        try:
            return self._delete(user, mailbox, ids, rule), 0
        except ConnectionFailure:
            raise
        except BAD_DOCUMENT as error:
            log.warning("messages could not be deleted", mailbox=str(mailbox), reason=summary(error))
            if len(ids) == 1:
                return 0, 1
        results = [self.remove_batch(user, mailbox, [message], rule) for message in ids]
        return sum(gone for gone, _ in results), sum(failed for _, failed in results)

    def _delete(self, user: ObjectId, mailbox: ObjectId, ids: list[ObjectId], rule: RemovalRule) -> int:
        """How many were still there. The references of those not archived are given back in the same step."""

        def steps(session: Session) -> int:
            gone = self._delete_step(user, mailbox, ids, rule, session)
            for row in gone:
                if not rule.archives(row):
                    self.release_files(row, session)
            return len(gone)

        return self._transactions.run(steps)

    def _delete_step(
        self,
        user: ObjectId,
        mailbox: ObjectId,
        ids: list[ObjectId],
        rule: RemovalRule,
        session: Session,
    ) -> list[Message]:
        place = {"mailbox": mailbox, "user": user, **rule.only}
        rows = list(self._collection.find({"_id": {"$in": ids}, **place}, _OF_REMOVAL, session=session))
        kept = [row["_id"] for row in rows if rule.archives(row)]
        copies = self._archive.copy({"_id": {"$in": kept}, **place}, session=session)
        gone = [row for row in rows if self._remove({"_id": row["_id"], "uid": row["uid"], **place}, session)]
        if len(gone) < len(rows):
            self._keep_the_living(copies, gone, session)
        if gone:
            self._account(user, mailbox, gone, session)
        return gone

    def _remove(self, condition: Condition, session: Session) -> bool:
        return self._collection.delete_one(condition, session=session).deleted_count > 0

    def _keep_the_living(self, copies: Sequence[ObjectId], gone: list[Message], session: Session) -> None:
        """Without transactions a message can move away after it was copied; then it must not be archived too."""
        doubtful = set(copies) - {row["_id"] for row in gone}
        alive = self._collection.find({"_id": {"$in": list(doubtful)}}, {"_id": 1}, session=session)
        self._archive.discard([row["_id"] for row in alive], session=session)

    def _account(self, user: ObjectId, mailbox: ObjectId, gone: list[Message], session: Session) -> None:
        """Quota, counts and journal. A mailbox that is gone has no counts; event streams hear of it all the same."""
        self._users.release_storage(user, sum(row["size"] for row in gone), session=session)
        unseen = sum(int(row["unseen"]) for row in gone)
        try:
            before = self._mailboxes.allocate(mailbox, total=-len(gone), unseen=-unseen, session=session)
        except MailboxNotFound:
            self._note_removal(user, mailbox, gone, 0, session)
            return
        self._note_removal(user, mailbox, gone, before["modifyIndex"] + 1, session)
        self._mailbox_counts.settle(mailbox, session)

    def _note_removal(
        self,
        user: ObjectId,
        mailbox: ObjectId,
        gone: list[Message],
        modseq: int,
        session: Session,
    ) -> None:
        entries = [expunge({**row, "modseq": modseq}) for row in gone]
        self._journal.append(user, mailbox, entries, session=session)
