"""What came in by LMTP, so that a message that an MTA sends again is not stored again.

An MTA repeats a message whose acknowledgement it did not get. So each delivery leaves a record in the transaction that
stores the message, under idempotency keys: the same when it comes again, see `delivery.inbound.deduplication`. A key
that names a mailbox stands for a copy of the message there: it holds only while the copy is there.

Without transactions the record comes first, as one that is pending and names the `_id` that the message will have, so
that a retry after a crash can tell whether the message is there, and stores it under the same `_id` if it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError

from storage.base.database import Clock, Databases, Document
from storage.base.duplicates import is_duplicate

_KEPT = timedelta(days=7)
"""Longer than an MTA tries: five days (RFC 5321 §4.5.4.1)."""
_PENDING = timedelta(minutes=10)
"""How long a delivery may take; what is pending for longer was cut short."""


class Repeated(Exception):
    """Somebody else has just recorded the same delivery, or is about to."""


@dataclass(frozen=True, slots=True)
class Key:
    """What makes two deliveries the same; with a `mailbox` as long as the first one's message is there."""

    digest: str
    mailbox: ObjectId | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """An earlier delivery of the same: the `_id` of its message, and whether that was stored, or dropped for good."""

    message: ObjectId
    done: bool


class Received:
    """Repository of deliveries."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main["received"]
        self._messages = databases.main["messages"]
        self._clock = clock

    def known(self, keys: Sequence[Key], own: ObjectId | None = None) -> Known | None:
        """The earlier delivery with one of these keys; what an attempt at the `own` message left is none.

        Raises Repeated while another one of the same message is on its way.
        """
        rows = self._collection.find({"_id": {"$in": [key.digest for key in keys]}})
        found = [self._judged(row) for row in rows if row["message"] != own]
        return next((known for known in found if known), None)

    def _judged(self, row: Document) -> Known | None:
        message, there = row["message"], {"_id": row["message"]}
        if "mailbox" not in row:
            return Known(message, row["done"] or self._is_there(there))
        if self._is_there({**there, "mailbox": row["mailbox"]}):
            return Known(message, True)
        if not row["done"] and row["expires"] - self._clock() > _KEPT - _PENDING:
            raise Repeated
        self._collection.delete_one({"_id": row["_id"], "message": message})
        return None

    def _is_there(self, wanted: Document) -> bool:
        return self._messages.find_one(wanted, {"_id": 1}) is not None

    def record(self, keys: Sequence[Key], message: ObjectId, session: ClientSession | None) -> None:
        """Note a delivery together with what else the transaction does. Raises Repeated."""
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

    def _claim(self, rows: Sequence[Document]) -> None:
        """Without transactions: the first who comes has it; what an earlier attempt at the same message left, too."""
        for row in rows:
            held = self._collection.find_one_and_update(
                {"_id": row["_id"]}, {"$setOnInsert": row}, upsert=True, return_document=ReturnDocument.AFTER
            )
            if held is None or held["message"] != row["message"]:
                raise Repeated

    def _row(self, key: Key, message: ObjectId, *, done: bool) -> Document:
        place = {"mailbox": key.mailbox} if key.mailbox else {}
        return {
            "_id": key.digest,
            "message": message,
            **place,
            "done": done,
            "expires": self._clock() + _KEPT,
        }

    def finish(self, keys: Sequence[Key]) -> None:
        """Without transactions: what was pending is done."""
        self._collection.update_many({"_id": {"$in": [key.digest for key in keys]}}, {"$set": {"done": True}})
