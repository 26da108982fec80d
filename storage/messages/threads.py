"""Threads: which messages answer which."""

from __future__ import annotations

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from storage.base.database import Clock, Databases, Document

_BY_IDS = [("user", 1), ("ids", 1)]


class Threads:
    """Repository of threads; one ends 180 days after its last message, messages keep its id."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main["threads"]
        self._clock = clock

    def join(self, user: ObjectId, subject: str, ids: list[str]) -> ObjectId:
        """The thread of a message with this normalized subject and these hashes of ids; a new one if there is none."""
        if not ids:
            thread = {"user": user, "subject": subject, "ids": ids, "updated": self._clock()}
            return ObjectId(self._collection.insert_one(thread).inserted_id)
        found = self._collection.find_one_and_update(
            {"user": user, "ids": {"$elemMatch": {"$in": ids}}, "subject": subject},
            self._with(ids),
            {"_id": 1},
            upsert=True,
            hint=_BY_IDS,
            return_document=ReturnDocument.AFTER,
        )
        assert found is not None
        return ObjectId(found["_id"])

    def join_that(self, thread: ObjectId, user: ObjectId, subject: str, ids: list[str]) -> ObjectId:
        """The thread with this id, made again under it if it has ended."""
        change = {**self._with(ids), "$setOnInsert": {"subject": subject}}
        try:
            self._collection.update_one({"_id": thread, "user": user}, change, upsert=True)
        except DuplicateKeyError:
            return self.join(user, subject, ids)
        return thread

    def _with(self, ids: list[str]) -> Document:
        return {"$addToSet": {"ids": {"$each": ids}}, "$set": {"updated": self._clock()}}
