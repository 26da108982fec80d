"""How many messages a mailbox holds.

`counted` on a mailbox is of our own: `{total, unseen, modseq}`. It is right as long as its `modseq` equals the
mailbox's `modifyIndex`. Every change of ours moves both by as much, so a listing counts nothing; when WildDuck
changed the mailbox beside us, the two differ, and the messages are counted once more through their index. As WildDuck
takes the sequence first and writes the messages after, what was counted meanwhile is counted `again` a minute later.
"""

from __future__ import annotations

from datetime import datetime

from bson import ObjectId
from pymongo import UpdateOne

from storage.database import Document
from storage.retention import milliseconds

_STILL_WRITING_MS = 60_000


def has_counts(mailbox: Document, now: datetime) -> bool:
    """Whether `counted` is there and right."""
    again = mailbox["counted"].get("again") if _follows(mailbox) else 0
    return again is None or again > milliseconds(now)


def _follows(mailbox: Document) -> bool:
    """Whether all that happened since the count has been counted too."""
    counted = mailbox.get("counted") or {}
    return "since" in counted and counted.get("modseq") == mailbox["modifyIndex"]


def counting(mailboxes: list[ObjectId]) -> list[Document]:
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


def keep_count(mailbox: Document, total: int, unseen: int, now: datetime) -> UpdateOne:
    """Only if nothing changed while it was counted; the second count after a change of others is the last."""
    index = mailbox["modifyIndex"]
    counted: Document = {"total": total, "unseen": unseen, "modseq": index, "since": index}
    if not _follows(mailbox):
        counted["again"] = milliseconds(now) + _STILL_WRITING_MS
    return UpdateOne({"_id": mailbox["_id"], "modifyIndex": index}, {"$set": {"counted": counted}})
