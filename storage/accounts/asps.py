"""Application passwords."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, cast

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from problems import AspNotFound
from storage.accounts.documents import Asp
from storage.accounts.user_fields import free_slot
from storage.base.database import (
    Clock,
    Condition,
    Databases,
    Projection,
    Session,
    delete_rows_of,
    holding,
)
from storage.events.events import Events

_READ_MS = 3000
_SHOWN = dict.fromkeys(("description", "scopes", "used", "authEvent", "created", "expires"), 1)
_SECRET = dict.fromkeys(("description", "scopes", "password", "selector", "ttl"), 1)


class Asps:
    """Repository of application passwords. One that has ended is none, whether MongoDB has swept it or not."""

    def __init__(self, databases: Databases, clock: Clock, events: Events) -> None:
        self._collection = holding(databases.users["asps"], Asp)
        self._clock = clock
        self._events = events

    def create(self, user: ObjectId, fields: Mapping[str, Any], ttl: int | None, limit: int) -> ObjectId:
        """Add one; ends `ttl` seconds after its last use. Raises TooManyItems beyond `limit` of the account.

        Each takes the lowest free slot of the account, and slots are unique: of several callers that see the last
        free one, one gets it and the others look again.
        """
        self._collection.delete_many({"user": user, "expires": {"$lte": self._clock()}})
        document = cast("Asp", {"_id": ObjectId(), "user": user, **fields, **self._beginning(ttl)})
        while True:
            row: Asp = {**document, "slot": self._free_slot(user, limit)}
            try:
                self._events.in_transaction(user, partial(self._insert, row))
            except DuplicateKeyError:
                continue
            return ObjectId(document["_id"])

    def _insert(self, row: Asp, session: Session) -> None:
        self._collection.insert_one(row, session=session)
        self._emit("asp.created", row, session)

    def _emit(self, kind: str, asp: Asp, session: Session) -> None:
        about = {"asp": asp["_id"], "description": asp["description"]}
        self._events.emit(kind, user=asp["user"], session=session, **about)

    def _beginning(self, ttl: int | None) -> Asp:
        now = self._clock()
        lasting: Asp = {"ttl": ttl, "expires": now + timedelta(seconds=ttl)} if ttl else {}
        return {"used": False, "authEvent": False, "authIp": False, "created": now, **lasting}

    def _free_slot(self, user: ObjectId, limit: int) -> int:
        slots = [row.get("slot") for row in self._find({"user": user}, {"slot": 1})]
        return free_slot(slots, limit, too_many="Maximum application passwords count reached")

    def of_user(self, user: ObjectId, *, temporary: bool) -> list[Asp]:
        """Those of an account, oldest first; with `temporary` also those that end by themselves."""
        wanted: Condition = {"user": user} if temporary else {"user": user, "ttl": None}
        return sorted(self._find(wanted, _SHOWN), key=lambda row: ObjectId(row["_id"]))

    def get(self, user: ObjectId, asp: ObjectId) -> Asp:
        """One of an account. Raises AspNotFound."""
        found = self._find({"_id": asp, "user": user}, _SHOWN)
        if not found:
            raise AspNotFound
        return found[0]

    def secrets(self, user: ObjectId) -> list[Asp]:
        """Hashes and scopes of those of an account, oldest first."""
        return sorted(self._find({"user": user}, _SECRET), key=lambda row: ObjectId(row["_id"]))

    def note_use(self, asp: Asp, event: ObjectId | None, ip: str | None) -> None:
        """Remember the last log-in, from which on `ttl` runs anew."""
        now = self._clock()
        change: Asp = {"used": now, "authEvent": event or False, "authIp": ip or False}
        if ttl := asp.get("ttl"):
            change["expires"] = now + timedelta(seconds=ttl)
        self._collection.update_one({"_id": asp["_id"]}, {"$set": change})

    def delete(self, user: ObjectId, asp: ObjectId) -> Asp | None:
        """Take one away; what it was, None where another call was first."""
        return self._events.in_transaction(user, lambda session: self._delete(user, asp, session))

    def _delete(self, user: ObjectId, asp: ObjectId, session: Session) -> Asp | None:
        wanted = {"_id": asp, "user": user}
        deleted = self._collection.find_one_and_delete(wanted, _SHOWN, session=session)
        if deleted:
            self._emit("asp.deleted", {**deleted, "user": user}, session)
        return deleted

    def delete_some(self, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` application passwords of a deleted account, and return how many there were."""
        return delete_rows_of(self._collection, user, limit)

    def _find(self, wanted: Condition, projection: Projection) -> list[Asp]:
        lives = {"$or": [{"expires": None}, {"expires": {"$gt": self._clock()}}]}
        return list(self._collection.find({**wanted, **lives}, projection, max_time_ms=_READ_MS))
