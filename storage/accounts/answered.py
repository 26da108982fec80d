"""Whom automatic answers went to, so that nobody gets a second one too soon."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from bson import ObjectId
from pymongo import ReturnDocument

from storage.base.database import Clock, Databases


class Answered:
    """Repository of answers sent: a document per answerer and sender, which a TTL index takes away."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main["answered"]
        self._clock = clock

    def claim(self, answerer: ObjectId, sender: str, interval: timedelta, mark: str) -> bool:
        """Whether a sender may be answered now; if so, not again before the interval has passed.

        `mark` stands for the message that is answered: the same one that comes again, because what followed the claim
        did not happen, may be answered still. One conditional update, so of many callers at once one may.
        """
        now = self._clock()
        if interval <= timedelta(0):
            return True
        free = {"$or": [{"$lte": [{"$ifNull": ["$expires", now]}, now]}, {"$eq": ["$mark", mark]}]}
        row = self._collection.find_one_and_update(
            {"_id": _key(answerer, sender)},
            [
                {"$set": {"granted": free}},
                {
                    "$set": {
                        "mark": {"$cond": ["$granted", mark, "$mark"]},
                        "expires": {"$cond": ["$granted", now + interval, "$expires"]},
                    }
                },
            ],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert row is not None
        return bool(row["granted"])

    def give_back(self, answerer: ObjectId, sender: str, mark: str) -> None:
        """Take back the claim for a message that was not answered."""
        self._collection.delete_one({"_id": _key(answerer, sender), "mark": mark})


def _key(answerer: ObjectId, sender: str) -> str:
    return f"{answerer}:{hashlib.sha256(sender.encode()).hexdigest()}"
