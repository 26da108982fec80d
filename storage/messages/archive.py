"""Deleted messages, kept for a while so that they can be restored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from bson import ObjectId
from pymongo.errors import BulkWriteError

from problems import MessageNotFound
from storage.base.database import (
    SWEEP_MS,
    Clock,
    Condition,
    Databases,
    Projection,
    Session,
    holding,
    is_duplicate,
    refused,
)
from storage.base.listing import page_of
from storage.base.paging import Order, Page, Paging
from storage.base.settings import Settings
from storage.mailboxes.retention import milliseconds
from storage.messages.documents import ArchivedMessage, Message
from storage.messages.threads import thread_counts

Position = tuple[datetime, ObjectId]
"""When a message was deleted, and the id of its copy."""


class Archive:
    """Repository of deleted messages. They keep their references to attachments."""

    def __init__(self, databases: Databases, clock: Clock, settings: Settings) -> None:
        self._collection = holding(databases.main["archived"], ArchivedMessage)
        self._messages = holding(databases.main["messages"], Message)
        self._clock = clock
        self._settings = settings

    def copy(self, condition: Condition, session: Session = None) -> list[ObjectId]:
        """Copy the messages that fulfil `condition`, those archived before stay as they are; ids of the copies.

        It is the one that they are deleted by, so that one which moved in between is not copied.
        """
        now = self._clock()
        expires = int(now.timestamp() * 1000) + int(self._settings.get("const:archive:time"))
        rows = list(self._messages.find(condition, session=session))
        ids = [row["_id"] for row in rows]
        known = self._collection.find({"_id": {"$in": ids}}, {"_id": 1}, session=session)
        archived = {row["_id"] for row in known}
        fresh: list[ArchivedMessage] = [
            {**row, "archived": now, "exp": True, "rdate": expires}
            for row in rows
            if row["_id"] not in archived
        ]
        return self._insert(fresh, session) if fresh else []

    def _insert(self, rows: list[ArchivedMessage], session: Session) -> list[ObjectId]:
        """Without transactions another client may have archived one in between; its copy stays."""
        ids = [row["_id"] for row in rows]
        try:
            self._collection.insert_many(rows, ordered=False, session=session)
        except BulkWriteError as error:
            if session or not is_duplicate(error):
                raise
            return [ids[position] for position in sorted(set(range(len(ids))) - refused(error))]
        return ids

    def get(self, user: ObjectId, copy: ObjectId) -> ArchivedMessage:
        """An archived message. Raises MessageNotFound."""
        found = self._collection.find_one({"_id": copy, "user": user})
        if not found:
            raise MessageNotFound
        return found

    def take(self, copy: ObjectId, session: Session) -> bool:
        """Remove a copy as one step of restoring it. Return whether it existed."""
        return self._collection.delete_one({"_id": copy}, session=session).deleted_count > 0

    def page(
        self, user: ObjectId, paging: Paging, direction: int, projection: Projection
    ) -> tuple[Page[ArchivedMessage], int]:
        """A page of an account's archived messages by the time they came, and how many there are."""
        order = Order("_id", direction)
        return page_of(self._collection, {"user": user}, projection, paging, order, limit_ms=SWEEP_MS)

    def thread_counts(self, user: ObjectId, threads: Sequence[ObjectId]) -> dict[ObjectId, int]:
        """How many archived messages each thread has."""
        return thread_counts(self._collection, user, threads)

    def between(
        self, user: ObjectId, start: datetime, end: datetime, after: Position | None, limit: int
    ) -> list[Position]:
        """What was deleted at these times, both included, in that order: the next behind a position."""
        condition: Condition = {"user": user, "archived": {"$gte": start, "$lte": end}}
        if after:
            same, later = {"archived": after[0], "_id": {"$gt": after[1]}}, {"$gt": after[0], "$lte": end}
            condition = {"$or": [{"user": user, **same}, {"user": user, "archived": later}]}
        rows = self._collection.find(condition, {"archived": 1}, max_time_ms=SWEEP_MS).hint(
            "user_archived_order"
        )
        rows = rows.sort([("archived", 1), ("_id", 1)]).limit(limit)
        return [(row["archived"], row["_id"]) for row in rows]

    def expired(self, limit: int, excluding: Collection[ObjectId] = ()) -> list[ObjectId]:
        """Copies whose time is over."""
        condition = {**self._over(), "_id": {"$nin": list(excluding)}}
        rows = self._collection.find(condition, {"_id": 1}, max_time_ms=SWEEP_MS).hint("retention_time")
        return [row["_id"] for row in rows.limit(limit)]

    def _over(self) -> Condition:
        return {"exp": True, "rdate": {"$lte": milliseconds(self._clock())}}

    def purge(self, copy: ObjectId, session: Session = None) -> ArchivedMessage | None:
        """Remove a copy whose time is still over; its `magic` and `mimeTree.attachmentMap`, None where it is gone."""
        return self._collection.find_one_and_delete(
            {"_id": copy, **self._over()}, {"magic": 1, "mimeTree.attachmentMap": 1}, session=session
        )

    def hasten(self, user: ObjectId, by: int) -> None:
        """Have all copies of an account expire at `by` at the latest, in milliseconds since 1970."""
        change = {"$set": {"exp": True, "rdate": by}}
        self._collection.update_many({"user": user, "rdate": {"$gt": by}}, change)

    def discard(self, copies: Sequence[ObjectId], session: Session = None) -> None:
        """Take copies away again whose messages live on; the references to attachments are theirs."""
        if copies:
            self._collection.delete_many({"_id": {"$in": list(copies)}}, session=session)
