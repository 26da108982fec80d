"""Deleting messages: one, or all of a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from bson import ObjectId
from bson.errors import BSONError
from pymongo.client_session import ClientSession
from pymongo.errors import ConnectionFailure, PyMongoError

from problems import MailboxNotFound, MessageNotFound, summary
from storage.base.database import Document
from storage.events.journal import expunge
from storage.messages.base import READ_MS, MessagesBase

log = structlog.get_logger()

_BATCH = 50
BAD_MESSAGE = (PyMongoError, BSONError, LookupError, TypeError, AttributeError)
_OF_DELETION = dict.fromkeys(
    ("uid", "thread", "unseen", "flags", "size", "magic", "userDeleted", "copied", "mimeTree.attachmentMap"),
    1,
)


@dataclass(frozen=True, slots=True)
class Deletion:
    """Which of the messages go to the archive, and what must still hold of a message for it to be deleted."""

    archives: Callable[[Document], bool]
    only: Document = field(default_factory=dict)


BUT_DRAFTS = Deletion(lambda row: "\\Draft" not in row["flags"])
FOR_GOOD = Deletion(lambda row: False)


class DeleteMessages(MessagesBase):
    """The way out. Messages go to the archive, drafts for good."""

    def delete(self, user: ObjectId, mailbox: ObjectId, uid: int) -> None:
        """Delete a message, also where its mailbox is gone already. Raises MessageNotFound."""
        found = self._collection.find_one({"mailbox": mailbox, "uid": uid, "user": user}, {"_id": 1})
        if not found:
            raise MessageNotFound
        if not self._delete(user, mailbox, [found["_id"]], BUT_DRAFTS):
            raise MessageNotFound

    def take_draft(self, draft: Document, session: ClientSession | None) -> None:
        """Remove a draft for good as one step of sending it. Raises MessageNotFound if it is none any more.

        Its references to attachments are given back with `release_files`, once all steps are done.
        """
        gone = self._delete_step(draft["user"], draft["mailbox"], [draft["_id"]], FOR_GOOD, session)
        if not gone or "\\Draft" not in gone[0]["flags"]:
            raise MessageNotFound

    def release_files(self, message: Document, session: ClientSession | None = None) -> None:
        """Give back the references to attachments of a message that is gone, one for each time it used them."""
        files = (message["mimeTree"].get("attachmentMap") or {}).values()
        self._store.attachments.release(files, message["magic"], session=session)

    def delete_all(self, user: ObjectId, mailbox: ObjectId, *, skip_archive: bool = False) -> tuple[int, int]:
        """Delete the messages that are in a mailbox now, the newest first; how many went, and how many could not.

        Raises MailboxNotFound.
        """
        below: int = self._store.mailboxes.get(user, mailbox)["uidNext"]
        deleted = errors = 0
        while below:
            gone, failed, below = self.delete_some(user, mailbox, below, skip_archive=skip_archive)
            deleted, errors = deleted + gone, errors + failed
        return deleted, errors

    def delete_some(
        self, user: ObjectId, mailbox: ObjectId, below: int, *, skip_archive: bool = False
    ) -> tuple[int, int, int]:
        """Delete a batch of messages with UIDs below one; how many went, how many could not, and the lowest UID.

        The last is 0 where there was none.
        """
        wanted = {"mailbox": mailbox, "user": user, "uid": {"$lt": below}}
        rows = self._collection.find(wanted, {"uid": 1}, max_time_ms=READ_MS).sort("uid", -1)
        batch = list(rows.limit(_BATCH))
        if not batch:
            return 0, 0, 0
        ids = [row["_id"] for row in batch]
        gone, failed = self._delete_batch(user, mailbox, ids, FOR_GOOD if skip_archive else BUT_DRAFTS)
        return gone, failed, batch[-1]["uid"]

    def _delete_batch(
        self, user: ObjectId, mailbox: ObjectId, ids: list[ObjectId], deletion: Deletion
    ) -> tuple[int, int]:
        """All in one; where that fails one after the other, so that one bad message keeps none of the others."""
        try:
            return self._delete(user, mailbox, ids, deletion), 0
        except ConnectionFailure:
            raise
        except BAD_MESSAGE as error:
            log.warning("messages could not be deleted", mailbox=str(mailbox), reason=summary(error))
            if len(ids) == 1:
                return 0, 1
        results = [self._delete_batch(user, mailbox, [message], deletion) for message in ids]
        return sum(gone for gone, _ in results), sum(failed for _, failed in results)

    def _delete(self, user: ObjectId, mailbox: ObjectId, ids: list[ObjectId], deletion: Deletion) -> int:
        """How many were still there. The references of those not archived are given back in the same step."""

        def steps(session: ClientSession | None) -> int:
            gone = self._delete_step(user, mailbox, ids, deletion, session)
            for row in gone:
                if not deletion.archives(row):
                    self.release_files(row, session)
            return len(gone)

        return self._store.transactions.run(steps)

    def _delete_step(
        self,
        user: ObjectId,
        mailbox: ObjectId,
        ids: list[ObjectId],
        deletion: Deletion,
        session: ClientSession | None,
    ) -> list[Document]:
        place = {"mailbox": mailbox, "user": user, **deletion.only}
        rows = list(self._collection.find({"_id": {"$in": ids}, **place}, _OF_DELETION, session=session))
        kept = [row["_id"] for row in rows if deletion.archives(row)]
        copies = self._store.archive.copy({"_id": {"$in": kept}, **place}, session=session)
        gone = [row for row in rows if self._remove({"_id": row["_id"], "uid": row["uid"], **place}, session)]
        if len(gone) < len(rows):
            self._keep_the_living(copies, gone, session)
        if gone:
            self._account(user, mailbox, gone, session)
        return gone

    def _remove(self, wanted: Document, session: ClientSession | None) -> bool:
        return self._collection.delete_one(wanted, session=session).deleted_count > 0

    def _keep_the_living(
        self, copies: Sequence[ObjectId], gone: list[Document], session: ClientSession | None
    ) -> None:
        """Without transactions a message can move away after it was copied; then it must not be archived too."""
        doubtful = set(copies) - {row["_id"] for row in gone}
        alive = self._collection.find({"_id": {"$in": list(doubtful)}}, {"_id": 1}, session=session)
        self._store.archive.discard([row["_id"] for row in alive], session=session)

    def _account(
        self, user: ObjectId, mailbox: ObjectId, gone: list[Document], session: ClientSession | None
    ) -> None:
        """Quota, counts and journal. A mailbox that is gone has no counts; event streams hear of it all the same."""
        store = self._store
        store.users.release_storage(user, sum(row["size"] for row in gone), session=session)
        unseen = sum(int(row["unseen"]) for row in gone)
        try:
            before = store.mailboxes.allocate(mailbox, total=-len(gone), unseen=-unseen, session=session)
        except MailboxNotFound:
            self._tell(user, mailbox, gone, 0, session)
            return
        self._tell(user, mailbox, gone, before["modifyIndex"] + 1, session)
        self._store.mailbox_counts.settle(mailbox, session)

    def _tell(
        self,
        user: ObjectId,
        mailbox: ObjectId,
        gone: list[Document],
        modseq: int,
        session: ClientSession | None,
    ) -> None:
        entries = [expunge({**row, "modseq": modseq}) for row in gone]
        self._store.journal.append(user, mailbox, entries, session=session)
