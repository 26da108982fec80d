"""What accounts use, counted anew from their messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bson import ObjectId
from pymongo.client_session import ClientSession

from storage.base.database import Condition, Databases, Document, Session, Stages

_COUNT_MS = 600_000


@dataclass(frozen=True, slots=True)
class Recount:
    """Bytes that were noted before, and that are there."""

    previous: int
    used: int


class Quota:
    """Repository of what is used.

    A message comes in one step with its size on the account, so both are read from one snapshot, and only their
    difference is applied: what comes or goes meanwhile counts as well.
    """

    def __init__(self, databases: Databases) -> None:
        self._users = databases.users["users"]
        self._mailboxes = databases.main["mailboxes"]
        self._messages = databases.main["messages"]
        self._client = databases.client
        self._has_snapshots = databases.has_transactions

    def page(self, after: ObjectId | None, most: int) -> list[ObjectId]:
        """The next accounts, by id."""
        wanted = {"_id": {"$gt": after}} if after else {}
        return [row["_id"] for row in self._users.find(wanted, {"_id": 1}).sort("_id", 1).limit(most)]

    def count_users(self) -> int:
        """About how many accounts there are."""
        return self._users.estimated_document_count()

    def recount(self, users: Sequence[ObjectId]) -> dict[ObjectId, Recount]:
        """Count accounts anew and put right what is noted; those that are not there are left out."""
        with self._snapshot() as session:
            noted = self._noted(users, session)
            sums = self._sums(users, session)
        counts = {user: Recount(used, sums.get(user, 0)) for user, used in noted.items()}
        for user, count in counts.items():
            if count.used != count.previous:
                self._correct(user, count)
        return counts

    @contextmanager
    def _snapshot(self) -> Iterator[ClientSession | None]:
        if not self._has_snapshots:
            yield None
            return
        with self._client.start_session(snapshot=True) as session:
            yield session

    def _noted(self, users: Sequence[ObjectId], session: Session) -> dict[ObjectId, int]:
        rows = self._users.find({"_id": {"$in": list(users)}}, {"storageUsed": 1}, session=session)
        return {row["_id"]: int(row.get("storageUsed") or 0) for row in rows}

    def _sums(self, users: Sequence[ObjectId], session: Session) -> dict[ObjectId, int]:
        """Mailbox by mailbox out of an index; messages of deleted mailboxes await their expiry, which has one too."""
        owners = {
            row["_id"]: row["user"]
            for row in self._mailboxes.find({"user": {"$in": list(users)}}, {"user": 1}, session=session)
        }
        sums: dict[ObjectId, int] = dict.fromkeys(users, 0)
        for row in self._grouped({"mailbox": {"$in": list(owners)}}, "$mailbox", "by_size", session):
            sums[owners[row["_id"]]] += row["size"]
        stray = {"exp": True, "user": {"$in": list(users)}, "mailbox": {"$nin": list(owners)}}
        for row in self._grouped(stray, "$user", "retention_time", session):
            sums[row["_id"]] += row["size"]
        return sums

    def _grouped(self, wanted: Condition, key: str, index: str, session: Session) -> Iterator[Document]:
        pipeline: Stages = [
            {"$match": wanted},
            {"$group": {"_id": key, "size": {"$sum": "$size"}}},
        ]
        yield from self._messages.aggregate(pipeline, hint=index, maxTimeMS=_COUNT_MS, session=session)

    def _correct(self, user: ObjectId, count: Recount) -> None:
        """Without snapshots only if nothing came meanwhile; else the next recount puts it right."""
        wanted: Document = {"_id": user}
        if not self._has_snapshots:
            wanted["storageUsed"] = count.previous
        better = {"$max": [0, {"$add": [{"$ifNull": ["$storageUsed", 0]}, count.used - count.previous]}]}
        self._users.update_one(wanted, [{"$set": {"storageUsed": better}}])
