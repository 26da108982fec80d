"""Automatic answers: one document per account, and the account's own flag.

WildDuck's index lets an account have several. Those that we make carry `mallard.user`, which is unique, so that
callers at one moment meet in one document; one that WildDuck made is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from problems import UserNotFound
from storage.accounts.documents import Autoreply
from storage.base.database import (
    Change,
    Clock,
    Databases,
    Document,
    Session,
    Transactions,
    delete_rows_of,
    holding,
)
from storage.events.events import Events

_READ_MS = 3000
_SHOWN = dict.fromkeys(("status", "name", "subject", "text", "html", "start", "end", "created"), 1)
_OLDEST = [("_id", 1)]


class Autoreplies:
    """Repository of automatic answers. Row and flag change together."""

    def __init__(
        self, databases: Databases, clock: Clock, transactions: Transactions, events: Events
    ) -> None:
        self._collection = holding(databases.main["autoreplies"], Autoreply)
        self._users = databases.users["users"]
        self._clock = clock
        self._transactions = transactions
        self._events = events

    def find(self, user: ObjectId, session: Session = None) -> Autoreply | None:
        """That of an account, None where there is none."""
        wanted = {"user": user}
        return self._collection.find_one(wanted, _SHOWN, sort=_OLDEST, max_time_ms=_READ_MS, session=session)

    def put(
        self, user: ObjectId, fields: Change, check: Callable[[Change], None]
    ) -> tuple[ObjectId, bool | None]:
        """Set fields; the document's id, and the account's flag if it is another one now. Raises UserNotFound.

        `check` gets what will be stored and raises what is wrong with it. The document comes before the flag: both
        must be on for an answer to go out, so a crash in between sends nothing, and a repeated request carries on.
        """
        while True:
            try:
                return self._transactions.run(lambda session: self._put(user, fields, check, session))
            except DuplicateKeyError:
                continue

    def _put(
        self,
        user: ObjectId,
        fields: Change,
        check: Callable[[Change], None],
        session: Session,
    ) -> tuple[ObjectId, bool | None]:
        check({**(self.find(user, session) or {}), **fields})
        new: Document = {"status": False, "created": self._clock(), "mallard.user": user}
        row = self._collection.find_one_and_update(
            {"user": user},
            {
                "$set": {**fields, "updated": self._clock()},
                "$setOnInsert": {name: value for name, value in new.items() if name not in fields},
                "$unset": {"sess": "", "ip": ""},
            },
            {"status": 1},
            sort=_OLDEST,
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        assert row is not None
        status = bool(row.get("status"))
        return ObjectId(row["_id"]), status if self._set_flag(user, status, session) else None

    def _set_flag(self, user: ObjectId, status: bool, session: Session) -> bool:
        """Whether it was another one before."""
        change = {"$set": {"autoreply": status}}
        before = self._users.find_one_and_update({"_id": user}, change, {"autoreply": 1}, session=session)
        if not before:
            raise UserNotFound
        changed = bool(before.get("autoreply")) != status
        if changed:
            kind = "autoreply.user.enabled" if status else "autoreply.user.disabled"
            self._events.emit(kind, user=user, session=session)
        return changed

    def delete(self, user: ObjectId) -> bool:
        """Remove that of an account; whether there was anything to remove. Raises UserNotFound."""
        return self._transactions.run(lambda session: self._delete(user, session))

    def _delete(self, user: ObjectId, session: Any) -> bool:
        was_on = self._set_flag(user, False, session)
        return bool(self._collection.delete_many({"user": user}, session=session).deleted_count) or was_on

    def delete_some(self, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` automatic answers of a deleted account, and return how many there were."""
        return delete_rows_of(self._collection, user, limit)
