"""Threads: which messages answer which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from storage.base.database import (
    SWEEP_MS,
    Change,
    Clock,
    Condition,
    Databases,
    Projection,
    Stages,
    delete_rows_of,
    holding,
)
from storage.messages.documents import Thread

_BY_IDS = [("user", 1), ("ids", 1)]


class Threads:
    """Repository of threads; one ends 180 days after its last message, messages keep its id."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = holding(databases.main["threads"], Thread)
        self._clock = clock

    def join(self, user: ObjectId, subject: str, ids: list[str]) -> ObjectId:
        """The thread of a message with this normalized subject and these hashes of ids; a new one if none exists."""
        if not ids:
            thread: Thread = {"user": user, "subject": subject, "ids": ids, "updated": self._clock()}
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

    def delete_some(self, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` threads of a deleted account, and return how many there were."""
        return delete_rows_of(self._collection, user, limit)

    def _with(self, ids: list[str]) -> Change:
        return {"$addToSet": {"ids": {"$each": ids}}, "$set": {"updated": self._clock()}}


def thread_counts(
    collection: Collection[Any], user: ObjectId, threads: Sequence[ObjectId]
) -> dict[ObjectId, int]:
    """How many messages of a collection each thread has, read from an index."""
    pipeline: Stages = [
        {"$match": {"user": user, "thread": {"$in": list(threads)}}},
        {"$group": {"_id": "$thread", "n": {"$sum": 1}}},
    ]
    return {row["_id"]: row["n"] for row in collection.aggregate(pipeline, maxTimeMS=SWEEP_MS)}


def thread_stages(
    condition: Condition,
    sort: dict[str, int],
    limit: int,
    direction: int,
    projection: Projection,
    key: str = "idate",
) -> Stages:
    """Of all that matched, one row per thread, the first in the order; paging goes by the chosen rows."""
    order = {"_id": direction} if key == "_id" else {key: direction, "_id": direction}
    first: dict[str, object] = {"_id": "$thread", "id": {"$first": "$_id"}, "at": {"$first": f"${key}"}}
    chosen: Stages = [{"$match": condition}] if condition else []
    own = {"from": "messages", "localField": "_id", "foreignField": "_id", "as": "row"}
    return [
        {"$sort": order},
        {"$group": first},
        {"$project": {"_id": "$id", **({} if key == "_id" else {key: "$at"})}},
        *chosen,
        {"$sort": sort},
        {"$limit": limit},
        {"$lookup": {**own, "pipeline": [{"$project": projection}]}},
        {"$replaceWith": {"$first": "$row"}},
    ]
