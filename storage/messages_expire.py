"""When messages of a mailbox expire, as far as the mailbox decides."""

from __future__ import annotations

from bson import ObjectId

from problems import Problem
from storage.database import Document
from storage.messages_base import READ_MS, MessagesBase
from storage.retention import milliseconds

_BATCH = 1000
_DAY_MS = 86_400_000


class ExpireMessages(MessagesBase):
    """Dates of expiry for whole mailboxes."""

    def expire_all(self, mailbox: ObjectId) -> None:
        """Have the expiry job take all messages of a mailbox first, and searches pass them over."""
        now = milliseconds(self._store.clock())
        change: Document = {"$set": {"exp": True, "rdate": now - _DAY_MS}, "$unset": {"searchable": ""}}
        self._collection.update_many({"mailbox": mailbox}, change)

    def renew_retention(self, user: ObjectId, mailbox: ObjectId) -> None:
        """Date the messages of a mailbox by its retention anew; dates that were set by hand stay.

        Goes up the UIDs in batches, each by what the mailbox says at that moment: of two that run at a time, both
        end with the newer setting. Ends quietly when the mailbox is gone.
        """
        after = 0
        while last := self._end_of_batch(mailbox, after):
            retention = self._retention(user, mailbox)
            if retention is None:
                return
            wanted = {"mailbox": mailbox, "uid": {"$gt": after, "$lte": last}, "retention": {"$exists": True}}
            self._collection.update_many(wanted, [{"$set": _dated(retention)}])
            after = last

    def _end_of_batch(self, mailbox: ObjectId, after: int) -> int:
        """The last UID of the next batch, 0 where there is none."""
        wanted = {"mailbox": mailbox, "uid": {"$gt": after}}
        rows = self._collection.find(wanted, {"uid": 1, "_id": 0}, max_time_ms=READ_MS).sort("uid", 1)
        uids = [row["uid"] for row in rows.limit(_BATCH)]
        return uids[-1] if uids else 0

    def _retention(self, user: ObjectId, mailbox: ObjectId) -> int | None:
        try:
            return int(self._store.mailboxes.get(user, mailbox).get("retention") or 0)
        except Problem as problem:
            if problem.code != "NoSuchMailbox":
                raise
            return None


def _dated(retention: int) -> Document:
    """Fields of a message by when it joined the mailbox; older documents tell that by their id."""
    joined: Document = {"$ifNull": ["$retentionTime", {"$toLong": {"$toDate": "$_id"}}]}
    return {
        "retention": retention,
        "retentionTime": joined,
        "exp": bool(retention),
        "rdate": {"$add": [joined, retention]} if retention else "$$REMOVE",
    }
