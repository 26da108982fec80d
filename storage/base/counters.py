"""Counters that run out: a value in a fixed window that begins with the first count, moved atomically."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument

from storage.base.database import Clock, Condition, Databases, Stages

DAY = 86_400
NAME = "counters"
COUNTER_OF = {
    "recipients": "wdr", "forwards": "wdf", "receivedMax": "rl:rcpt", "imapMaxUpload": "iup",
    "imapMaxDownload": "idw", "pop3MaxDownload": "pdw",
}  # fmt: skip
"""The kind of counter for each limit of an account."""


@dataclass(frozen=True, slots=True)
class Count:
    """Whether counting was allowed, the value after it, and the seconds left of the window."""

    allowed: bool
    value: int
    seconds_left: int


def counter_key(limit: str, owner: ObjectId) -> str:
    """The key of what an account, or a forwarded address, has used of a limit."""
    return f"{COUNTER_OF[limit]}:{owner}"


class Counters:
    """Repository of counters; the same for all processes."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main[NAME]
        self._clock = clock

    def add(self, key: str, amount: int, most: int, window: int = DAY) -> Count:
        """Count `amount` unless the value would exceed `most`; `most` 0 means no limit and nothing is counted.

        One conditional update, so parallel callers cannot pass the limit together.
        """
        if most <= 0:
            return Count(True, 0, 0)
        row = self._collection.find_one_and_update(
            {"_id": key},
            _counting(amount, most, self._clock(), timedelta(seconds=window)),
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert row is not None
        return Count(row["granted"], row["value"], self._seconds_left(row))

    def give_back(self, key: str, amount: int) -> None:
        """Take back what was counted for something that did not happen."""
        self._collection.update_one({"_id": key, "value": {"$gte": amount}}, {"$inc": {"value": -amount}})

    def reset(self, keys: Iterable[str]) -> None:
        """Forget counters."""
        self._collection.delete_many({"_id": {"$in": list(keys)}})

    def peek(self, key: str, most: int) -> Count:
        """Whether one more would be allowed; nothing is counted."""
        row = self._collection.find_one({"_id": key, "expires": {"$gt": self._clock()}})
        value = row["value"] if row else 0
        return Count(most <= 0 or value < most, value, self._seconds_left(row))

    def _seconds_left(self, row: Any) -> int:
        return max(int((row["expires"] - self._clock()).total_seconds()), 0) if row else 0


def _counting(amount: int, most: int, now: datetime, window: timedelta) -> Stages:
    """The update that counts `amount` where it fits; `granted` tells whether it did."""
    runs: Condition = {"$gt": ["$expires", now]}
    total: Condition = {"$add": ["$value", amount]}
    return [
        {"$set": {"value": {"$cond": [runs, {"$ifNull": ["$value", 0]}, 0]}}},
        {"$set": {"granted": {"$lte": [total, most]}}},
        {
            "$set": {
                "value": {"$cond": ["$granted", total, "$value"]},
                "expires": {"$cond": [runs, "$expires", {"$cond": ["$granted", now + window, now]}]},
            }
        },
    ]
