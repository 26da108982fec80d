"""Guesses at secrets, limited: each is reserved before it is looked at, and counts only if it was wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo import ReturnDocument

from storage.base.counters import NAME
from storage.base.database import Clock, Condition, Databases, Stages

_LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` wrong guesses at what `key` names, within `window` seconds from the first of them."""

    key: str
    most: int
    window: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """Whether the guess may be looked at. `busy`: not yet, as others in flight might be wrong."""

    id: ObjectId
    granted: bool
    busy: bool


class Attempts:
    """Repository of wrong guesses; the same for all processes.

    A guess in flight holds one place of the limit, so that many at once cannot pass it together, and right ones
    do not use it up. The place of a process that died is free again after a minute.
    """

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main[NAME]
        self._clock = clock

    def reserve(self, limit: Limit) -> Reservation:
        """Hold a place for one guess, which `count` or `give_back` ends."""
        mark = ObjectId()
        row = self._collection.find_one_and_update(
            {"_id": limit.key},
            _reserving(mark, limit.most, self._clock()),
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert row is not None
        return Reservation(mark, row["granted"], busy=row["value"] < limit.most)

    def count(self, limit: Limit, mark: ObjectId) -> None:
        """The guess was wrong."""
        now = self._clock()
        update = _counting(mark, now, now + timedelta(seconds=limit.window))
        self._collection.update_one({"_id": limit.key}, update, upsert=True)

    def give_back(self, limit: Limit, mark: ObjectId) -> None:
        """The guess was right, or was not looked at."""
        self._collection.update_one({"_id": limit.key}, {"$pull": {"pending": {"id": mark}}})

    def forget(self, keys: Iterable[str]) -> None:
        """Begin anew: wrong guesses until now count no more, those in flight do."""
        wanted = {"_id": {"$in": list(keys)}, "value": {"$gt": 0}}
        self._collection.update_many(wanted, {"$set": {"value": 0}, "$unset": {"ends": ""}})

    def failures(self, key: str) -> int:
        """How many wrong guesses count now."""
        row = self._collection.find_one({"_id": key, "ends": {"$gt": self._clock()}}, {"value": 1})
        return int(row["value"]) if row else 0


def _value(now: datetime) -> Condition:
    return {"$cond": [{"$gt": ["$ends", now]}, "$value", 0]}


def _pending(condition: Condition) -> Condition:
    return {"$filter": {"input": {"$ifNull": ["$pending", []]}, "cond": condition}}


def _reserving(mark: ObjectId, most: int, now: datetime) -> Stages:
    place = {"id": mark, "until": now + _LEASE}
    taken: Condition = {"$add": ["$value", {"$size": "$pending"}]}
    return [
        {"$set": {"value": _value(now), "pending": _pending({"$gt": ["$$this.until", now]})}},
        {"$set": {"granted": {"$lt": [taken, most]}}},
        {"$set": {"pending": {"$concatArrays": ["$pending", {"$cond": ["$granted", [place], []]}]}}},
        {"$set": {"expires": {"$max": ["$ends", now + _LEASE]}}},
    ]


def _counting(mark: ObjectId, now: datetime, ends: datetime) -> Stages:
    """The window begins with the first wrong guess and does not slide."""
    return [
        {
            "$set": {
                "value": {"$add": [_value(now), 1]},
                "ends": {"$cond": [{"$gt": ["$ends", now]}, "$ends", ends]},
                "pending": _pending({"$ne": ["$$this.id", mark]}),
            }
        },
        {"$set": {"expires": {"$max": ["$ends", "$expires"]}}},
    ]
