"""How many messages a mailbox holds.

`counted` on a mailbox is of our own: `{total, unseen, modseq}`. It is right as long as its `modseq` equals the
mailbox's `modifyIndex`. Every change of ours moves both by as much, so a listing counts nothing; when WildDuck
changed the mailbox, too, the two differ, and the messages are counted once more through their index. As WildDuck
takes the sequence first and writes the messages after, what was counted meanwhile is counted `again` a minute later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from bson import ObjectId
from pymongo import UpdateOne

from storage.base.database import Clock, Databases, Document, Session, Stages
from storage.mailboxes.documents import Mailbox
from storage.mailboxes.retention import milliseconds

_COUNT_MS = 120_000
_STILL_WRITING_MS = 60_000


class MailboxCounts:
    """How many messages mailboxes hold, and how large these are."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._mailboxes = databases.main["mailboxes"]
        self._messages = databases.main["messages"]
        self._clock = clock

    def of(self, mailboxes: Sequence[Mailbox]) -> dict[ObjectId, tuple[int, int]]:
        """(total, unseen) of each mailbox; those whose counts are stale are counted together in one query."""
        now = self._clock()
        stale = [mailbox for mailbox in mailboxes if not has_counts(mailbox, now)]
        known = {
            m["_id"]: (m["counted"]["total"], m["counted"]["unseen"]) for m in mailboxes if has_counts(m, now)
        }
        return {**known, **(self._count(stale, now) if stale else {})}

    def _count(self, mailboxes: Sequence[Mailbox], now: datetime) -> dict[ObjectId, tuple[int, int]]:
        counted = {mailbox["_id"]: (0, 0) for mailbox in mailboxes}
        pipeline = _counting(list(counted))
        for row in self._messages.aggregate(pipeline, hint="mailbox_unseen_flag", maxTimeMS=_COUNT_MS):
            counted[row["_id"]] = (row["total"], row["unseen"])
        kept = [_keep_count(mailbox, *counted[mailbox["_id"]], now) for mailbox in mailboxes]
        self._mailboxes.bulk_write(kept, ordered=False)
        return counted

    def distrust(self, mailbox: ObjectId) -> None:
        """Have the messages counted again at the next reading."""
        self._mailboxes.update_one({"_id": mailbox}, {"$unset": {"counted": ""}})

    def settle(self, mailbox: ObjectId, session: Session) -> None:
        """Distrust the counts after a change without transactions: others may have written in between."""
        if session is None:
            self.distrust(mailbox)

    def sizes(self, mailboxes: Iterable[ObjectId]) -> dict[ObjectId, int]:
        """Bytes of the messages of each mailbox, read from an index."""
        pipeline: Stages = [
            {"$match": {"mailbox": {"$in": list(mailboxes)}}},
            {"$group": {"_id": "$mailbox", "size": {"$sum": "$size"}}},
        ]
        rows = self._messages.aggregate(pipeline, hint="by_size", maxTimeMS=_COUNT_MS)
        return {row["_id"]: row["size"] for row in rows}


def has_counts(mailbox: Mailbox, now: datetime) -> bool:
    """Return whether `counted` exists and is right."""
    again = mailbox["counted"].get("again") if _follows(mailbox) else 0
    return again is None or again > milliseconds(now)


def _follows(mailbox: Mailbox) -> bool:
    """Return whether all that happened since the count has been counted too."""
    counted = mailbox.get("counted") or {}
    return "since" in counted and counted.get("modseq") == mailbox["modifyIndex"]


def _counting(mailboxes: list[ObjectId]) -> Stages:
    """The pipeline that counts the messages of mailboxes, `total` and `unseen`."""
    return [
        {"$match": {"mailbox": {"$in": mailboxes}}},
        {
            "$group": {
                "_id": "$mailbox",
                "total": {"$sum": 1},
                "unseen": {"$sum": {"$cond": ["$unseen", 1, 0]}},
            }
        },
    ]


def _keep_count(mailbox: Mailbox, total: int, unseen: int, now: datetime) -> UpdateOne:
    """Only if nothing changed while it was counted; the second count after a change of others is the last."""
    index = mailbox["modifyIndex"]
    counted: Document = {"total": total, "unseen": unseen, "modseq": index, "since": index}
    if not _follows(mailbox):
        counted["again"] = milliseconds(now) + _STILL_WRITING_MS
    return UpdateOne({"_id": mailbox["_id"], "modifyIndex": index}, {"$set": {"counted": counted}})
