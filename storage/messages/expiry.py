"""When messages expire, as far as the mailbox decides, and what becomes of them then."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from operator import itemgetter

import structlog
from bson import ObjectId
from pymongo.errors import ConnectionFailure

from problems import summary
from storage.base.database import (
    BAD_DOCUMENT,
    SWEEP_MS,
    Change,
    Clock,
    Condition,
    Databases,
    Session,
    Transactions,
    holding,
)
from storage.mailboxes.retention import milliseconds
from storage.messages.archive import Archive
from storage.messages.documents import Message
from storage.messages.messages import Messages
from storage.messages.removal import Removal, RemovalRule

log = structlog.get_logger()

_BATCH = 1000
_DAY_MS = 86_400_000


class Expiry:
    """Dates of expiry for whole mailboxes, and the end of those whose date is over."""

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        *,
        transactions: Transactions,
        archive: Archive,
        messages: Messages,
        removal: Removal,
    ) -> None:
        self._collection = holding(databases.main["messages"], Message)
        self._clock = clock
        self._transactions = transactions
        self._archive = archive
        self._messages = messages
        self._removal = removal

    def expire_all(self, mailbox: ObjectId) -> None:
        """Have the expiry job take all messages of a mailbox first, and searches pass them over."""
        now = milliseconds(self._clock())
        change: Change = {"$set": {"exp": True, "rdate": now - _DAY_MS}, "$unset": {"searchable": ""}}
        self._collection.update_many({"mailbox": mailbox}, change)

    def expire_user(self, user: ObjectId, by: int) -> int:
        """Have all messages of a deleted account expire at `by`, in milliseconds since 1970, archived or not.

        How many there were, without those that are archived or were marked before.
        """
        change: Change = {
            "$set": {"exp": True, "rdate": by, "userDeleted": True},
            "$unset": {"searchable": ""},
        }
        marked = self._collection.update_many({"user": user, "userDeleted": {"$ne": True}}, change)
        self._archive.hasten(user, by)
        return marked.modified_count

    def delete_expired(self, limit: int, excluding: Collection[ObjectId]) -> tuple[int, list[ObjectId]]:
        """Delete messages whose date is over, of at most `limit`; how many were looked at, and which cannot be deleted.

        They go to the archive, except copies and messages of deleted accounts. `excluding` are skipped.
        """
        over = {"exp": True, "rdate": {"$lte": milliseconds(self._clock())}}
        condition = {**over, "_id": {"$nin": list(excluding)}}
        found = self._collection.find(condition, {"user": 1, "mailbox": 1}, max_time_ms=SWEEP_MS).hint(
            "retention_time"
        )
        place = itemgetter("user", "mailbox")
        rows = sorted(found.limit(limit), key=place)
        rule = RemovalRule(lambda row: not (row.get("userDeleted") or row.get("copied")), over)
        failed: list[ObjectId] = []
        for (user, mailbox), group in groupby(rows, key=place):
            ids = [row["_id"] for row in group]
            _, errors = self._removal.remove_batch(user, mailbox, ids, rule)
            failed += self._still_expired(ids, over) if errors else []
        return len(rows), failed

    def _still_expired(self, ids: list[ObjectId], over: Condition) -> list[ObjectId]:
        return [row["_id"] for row in self._collection.find({"_id": {"$in": ids}, **over}, {"_id": 1})]

    def purge_archived(self, limit: int, excluding: Collection[ObjectId]) -> tuple[int, list[ObjectId]]:
        """The same of archived messages, which give their attachments back."""
        ids = self._archive.expired(limit, excluding)
        return len(ids), [copy for copy in ids if not self._purged(copy)]

    def _purged(self, copy: ObjectId) -> bool:
        try:
            self._transactions.run(lambda session: self._purge(copy, session))
        except ConnectionFailure:
            raise
        except BAD_DOCUMENT as error:
            log.warning("an archived message could not be removed", id=str(copy), reason=summary(error))
            return False
        return True

    def _purge(self, copy: ObjectId, session: Session) -> None:
        """The references of a copy whose message exists are that message's."""
        row = self._archive.purge(copy, session=session)
        if row and not self._messages.exists(copy, session):
            self._removal.release_files(row, session)

    def date_by_retention(self, mailbox: ObjectId, after: int, retention: int) -> int:
        """Date a batch of a mailbox's messages, those with the next UIDs beyond `after`, by a retention.

        Dates that were set by hand stay. Returns the last UID of the batch, 0 where nothing is left.
        """
        last = self._end_of_batch(mailbox, after)
        if last:
            condition = {
                "mailbox": mailbox,
                "uid": {"$gt": after, "$lte": last},
                "retention": {"$exists": True},
            }
            self._collection.update_many(condition, [{"$set": _dated(retention)}])
        return last

    def _end_of_batch(self, mailbox: ObjectId, after: int) -> int:
        """The last UID of the next batch, 0 if nothing is left."""
        condition = {"mailbox": mailbox, "uid": {"$gt": after}}
        rows = self._collection.find(condition, {"uid": 1, "_id": 0}, max_time_ms=SWEEP_MS).sort("uid", 1)
        uids = [row["uid"] for row in rows.limit(_BATCH)]
        return uids[-1] if uids else 0


def _dated(retention: int) -> Change:
    """Fields of a message by when it joined the mailbox; older documents have that only in their id."""
    joined: Change = {"$ifNull": ["$retentionTime", {"$toLong": {"$toDate": "$_id"}}]}
    return {
        "retention": retention,
        "retentionTime": joined,
        "exp": bool(retention),
        "rdate": {"$add": [joined, retention]} if retention else "$$REMOVE",
    }
