"""The one order in which the changes of an account are announced to its event streams.

A client resumes with the id of the last event that it has seen, so that id must be a place in an order that is
the same for every process and never changes behind that place. The order of the journal's ids is none: processes
make their own ids, WildDuck writes at the same time, and a transaction shows its entries long after it made their ids.
An entry with a smaller id can appear after a larger one was sent; reading `_id > last` loses it, reading some
seconds back sends others twice.

So the order is written down. Each entry gets a number `n`, per account, once, when it is first discovered; `after`
reads by that number and by nothing else. Why nothing is lost and nothing comes twice:

- An entry has one number: its row's `_id` is the entry's id.
- Numbers become visible in their order: a row n is only inserted by one who saw n - 1, and (user, n) is unique, so
  of two who append at once one loses and looks again. Whoever reads up to n has seen everything below n for good.
- Every entry gets a number: the process that holds a stream hears of all inserts from the moment it follows the
  journal (`storage.events.feed`), and `catch_up` numbers what existed before. That looks back `_LOOK_BACK` behind the
  last numbering, far longer than a transaction may last (60 s), since all that was visible then has its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.errors import BulkWriteError

from storage.base.database import Clock, Condition, Databases, delete_rows_of, holding, is_duplicate
from storage.events.documents import JournalEntry, UpdateRow

PAGE = 200
_LOOK_BACK = timedelta(minutes=5)
_KEPT = timedelta(hours=3, minutes=10)
_AT_ONCE = 1000
_READ_MS = 10_000

Numbered = tuple[int, JournalEntry]
"""An entry with its number."""


class Updates:
    """Repository of the order: a row per entry, and a head per account, see `UpdateRow`."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._order = holding(databases.main["updates"], UpdateRow)
        self._journal = holding(databases.main["journal"], JournalEntry)
        self._clock = clock

    def catch_up(self, user: ObjectId) -> int:
        """Number all entries of an account that have no number; return the last one."""
        last = self._last_row(user)
        condition: Condition = {"user": user}
        if last:
            condition = {"user": user, "_id": {"$gt": ObjectId.from_datetime(last["at"] - _LOOK_BACK)}}
        rows = self._journal.find(condition, {"_id": 1}, max_time_ms=_READ_MS).sort("_id", 1)
        ids = [row["_id"] for row in rows]
        for start in range(0, len(ids), _AT_ONCE):
            self.place(user, ids[start : start + _AT_ONCE])
        return self.last(user)

    def place(self, user: ObjectId, entries: Sequence[ObjectId]) -> None:
        """Number entries in the given order; those that have a number keep it."""
        waiting = list(entries)
        while waiting := self._unknown(waiting):
            first, now = self.last(user) + 1, self._clock()
            rows = [_row(user, entry, first + number, now) for number, entry in enumerate(waiting)]
            try:
                self._order.insert_many(rows, ordered=True)
            except BulkWriteError as error:
                if not is_duplicate(error):
                    raise
                continue
            head = {"$max": {"base": rows[-1]["n"]}, "$setOnInsert": {"user": user}}
            self._order.update_one({"_id": user}, head, upsert=True)
            return

    def delete_some(self, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` rows of a deleted account, and return how many there were."""
        return delete_rows_of(self._order, user, limit)

    def _unknown(self, entries: list[ObjectId]) -> list[ObjectId]:
        rows = self._order.find({"_id": {"$in": entries}}, {"_id": 1}, max_time_ms=_READ_MS)
        known = {row["_id"] for row in rows} if entries else set()
        return [entry for entry in entries if entry not in known]

    def last(self, user: ObjectId) -> int:
        """Return the last number that was given, 0 where none was."""
        last = self._last_row(user)
        if last:
            return int(last["n"])
        head = self._order.find_one({"_id": user}, {"base": 1}, max_time_ms=_READ_MS)
        return int(head["base"]) if head else 0

    def _last_row(self, user: ObjectId) -> UpdateRow | None:
        rows = self._order.find({"user": user, "n": {"$gt": 0}}, {"n": 1, "at": 1}, max_time_ms=_READ_MS)
        return next(rows.sort("n", DESCENDING).limit(1), None)

    def behind(self, user: ObjectId, entry: ObjectId) -> int:
        """Return the number of an entry: what is numbered higher comes after it.

        An id without a number belongs to no event of the last hours; then the order of ids decides.
        """
        row = self._order.find_one({"_id": entry, "user": user, "n": {"$gt": 0}}, {"n": 1})
        if row:
            return int(row["n"])
        later = self._order.find(
            {"user": user, "n": {"$gt": 0}, "_id": {"$gt": entry}}, {"n": 1}, max_time_ms=_READ_MS
        )
        first = next(later.sort("n", 1).limit(1), None)
        return int(first["n"]) - 1 if first else self.last(user)

    def after(self, user: ObjectId, number: int) -> list[Numbered]:
        """Return the next entries behind a number, at most PAGE; one that has expired has its `_id` alone."""
        rows = list(
            self._order.find({"user": user, "n": {"$gt": number}}, {"n": 1}, max_time_ms=_READ_MS)
            .sort("n", 1)
            .limit(PAGE)
        )
        ids = [row["_id"] for row in rows]
        existing = self._journal.find({"_id": {"$in": ids}}, max_time_ms=_READ_MS) if ids else ()
        entries = {entry["_id"]: entry for entry in existing}
        return [(row["n"], entries.get(row["_id"], {"_id": row["_id"]})) for row in rows]


def _row(user: ObjectId, entry: ObjectId, number: int, now: datetime) -> UpdateRow:
    return {"_id": entry, "user": user, "n": number, "at": now, "expires": now + _KEPT}
