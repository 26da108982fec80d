"""Idempotency keys of deliveries by LMTP: a message that an MTA sends again is recognised, and not stored again.

An MTA repeats a message whose acknowledgement it did not get. So each delivery leaves a record in the transaction that
stores the message, under idempotency keys: the same when it comes again, see `delivery.inbound.deduplication`. A key
that names a mailbox stands for a copy of the message there: it holds only while the copy exists.

Without transactions the record comes first, as one that is pending and names the `_id` that the message will have, so
that a retry after a crash sees whether the message exists, and stores it under the same `_id` if it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError

from storage.base.database import Clock, Condition, Databases, Session, holding, is_duplicate
from storage.queue.documents import ReceivedRecord

_KEPT = timedelta(days=7)
"""Longer than an MTA tries: five days (RFC 5321 §4.5.4.1)."""
_PENDING = timedelta(minutes=10)
"""How long a delivery may take; what is pending for longer was cut short."""


class Repeated(Exception):
    """The same delivery has just been recorded by another process, or is about to be."""


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two deliveries the same; with a `mailbox` as long as the first one's message exists."""

    digest: str
    mailbox: ObjectId | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """An earlier delivery of the same: the `_id` of its message, and whether that was stored, or dropped for good."""

    message: ObjectId
    done: bool


class Received:
    """Repository of the idempotency keys of deliveries."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = holding(databases.main["received"], ReceivedRecord)
        self._messages = databases.main["messages"]
        self._clock = clock

    def known(self, keys: Sequence[Key], own: ObjectId | None = None) -> Known | None:
        """Return the earlier delivery with one of these keys, apart from attempts at the `own` message.

        Raises Repeated while another delivery of the same message is on its way.
        """
        rows = self._collection.find({"_id": {"$in": [key.digest for key in keys]}})
        judged = [self._judged(row) for row in rows if row["message"] != own]
        return next((known for known in judged if known), None)

    def _judged(self, row: ReceivedRecord) -> Known | None:
        message = row["message"]
        if "mailbox" not in row:
            return Known(message, row["done"] or self._exists({"_id": message}))
        if self._exists({"_id": message, "mailbox": row["mailbox"]}):
            return Known(message, True)
        if not row["done"] and row["expires"] - self._clock() > _KEPT - _PENDING:
            raise Repeated
        self._collection.delete_one({"_id": row["_id"], "message": message})
        return None

    def _exists(self, condition: Condition) -> bool:
        return self._messages.find_one(condition, {"_id": 1}) is not None

    def record(self, keys: Sequence[Key], message: ObjectId, session: Session) -> None:
        """Record a delivery in the transaction that stores it. Raises Repeated."""
        rows = [self._row(key, message, done=session is not None) for key in keys]
        if session is None:
            self._claim(rows)
            return
        try:
            self._collection.insert_many(rows, session=session)
        except BulkWriteError as error:
            if is_duplicate(error):
                raise Repeated from error
            raise

    def _claim(self, rows: Sequence[ReceivedRecord]) -> None:
        """Without transactions: the first one claims the keys; an earlier attempt at the same message may have, too."""
        for row in rows:
            held = self._collection.find_one_and_update(
                {"_id": row["_id"]}, {"$setOnInsert": row}, upsert=True, return_document=ReturnDocument.AFTER
            )
            if held is None or held["message"] != row["message"]:
                raise Repeated

    def _row(self, key: Key, message: ObjectId, *, done: bool) -> ReceivedRecord:
        row: ReceivedRecord = {"_id": key.digest, "message": message}
        if key.mailbox:
            row["mailbox"] = key.mailbox
        return {**row, "done": done, "expires": self._clock() + _KEPT}

    def finish(self, keys: Sequence[Key]) -> None:
        """Mark the pending records as done, without transactions."""
        self._collection.update_many({"_id": {"$in": [key.digest for key in keys]}}, {"$set": {"done": True}})
