"""Following the journal: one for a whole process, for any number of streams.

On a replica set it is a change stream, which reports every insert once it is committed. A lone server has no change
streams: there the journal is read once a second by id, `_OVERLAP` back, without what was reported before, so that
an entry whose writer was slow comes late and is not left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

from bson import ObjectId
from pymongo.collection import Collection

from storage.base.database import Databases, Stages, holding
from storage.events.documents import Notice, NoticeRow
from storage.events.notices import NAME as NOTICES

_WAIT_MS = 500
_POLL_SECONDS = 1.0
_OVERLAP = timedelta(seconds=20)
_NAMES = ("journal", NOTICES)
_INSERTS: Stages = [
    {"$match": {"operationType": "insert", "ns.coll": {"$in": list(_NAMES)}}},
    {"$project": {"ns.coll": 1, "fullDocument._id": 1, "fullDocument.user": 1, "fullDocument.payload": 1}},
]


@dataclass(frozen=True, slots=True)
class News:
    """An entry of the journal that has appeared, or a notice with its payload."""

    user: ObjectId
    entry: ObjectId
    payload: Notice | None


class Feed:
    """What appears in the journal, and notices."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._collections = [holding(databases.main[name], NoticeRow) for name in _NAMES]

    def follow(self, ready: Callable[[], None]) -> Iterator[list[News]]:
        """What appears from now on, as it does; empty lists while nothing does.

        `ready` is called once nothing that appears can be missed any more.
        """
        if self._databases.has_transactions:
            yield from self._follow_changes(ready)
        else:
            yield from self._poll(ready)

    def _follow_changes(self, ready: Callable[[], None]) -> Iterator[list[News]]:
        with self._databases.main.watch(_INSERTS, max_await_time_ms=_WAIT_MS) as changes:
            ready()
            while True:
                change = changes.try_next()
                yield [_news(change["fullDocument"])] if change else []

    def _poll(self, ready: Callable[[], None]) -> Iterator[list[News]]:
        reported: set[ObjectId] = set()
        first = True
        while True:
            since = ObjectId.from_datetime(datetime.now(UTC) - _OVERLAP)
            rows = list(chain.from_iterable(_since(collection, since) for collection in self._collections))
            fresh = [row for row in rows if row["_id"] not in reported]
            reported = {row["_id"] for row in rows}
            if first:
                ready()
            else:
                yield [_news(row) for row in fresh]
            first = False
            time.sleep(_POLL_SECONDS)


def _news(row: NoticeRow) -> News:
    return News(row["user"], row["_id"], row.get("payload"))


def _since(collection: Collection[NoticeRow], since: ObjectId) -> Iterator[NoticeRow]:
    yield from collection.find({"_id": {"$gt": since}}, {"user": 1, "payload": 1}).sort("_id", 1)
