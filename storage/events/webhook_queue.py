"""What webhooks have still to be told, in order per hook and account: a lane.

An entry is queued with the change that it tells of, and nothing else is written then. `discover` makes the lanes of
entries that are new; a lane is due, or leased to one runner: `due` is in both cases the moment from which a runner may
take it. Its runner sends the entries one after the other, so that none is overtaken.

A lane ends when it is empty. One that `discover` meets at that moment must not end: `version` tells. An entry given up
leaves its lane for `of` and stays for a while as dead, to be looked at and sent again.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.client_session import ClientSession

from storage.base.database import Clock, Databases, Document

ENTRIES, LANES = "webhookqueue", "webhooklanes"
LEASE = timedelta(minutes=2)
DEAD_KEPT = timedelta(days=30)
_AT_ONCE = 500
_READ_MS = 10_000
_ERROR_LENGTH = 300
_WAITING: list[Document] = [
    {"$match": {"lane": {"$gt": ""}}},
    {"$group": {"_id": "$hook", "waiting": {"$sum": 1}, "oldest": {"$min": "$since"}}},
]
_WORST: list[Document] = [
    {
        "$group": {
            "_id": "$hook",
            "next": {"$min": "$due"},
            "worst": {"$max": {"failures": "$failures", "error": "$error"}},
        }
    },
]


class LaneLost(Exception):
    """Another runner has the lane by now; whoever gets this must send nothing more of it."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane that this process holds; `failures` are those since the target last took anything."""

    id: str
    hook: ObjectId
    target: str
    lock: str
    version: int
    failures: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An event for one hook; `since` is when it was queued, or last put back."""

    id: ObjectId
    type: str
    body: Document
    since: datetime
    attempts: int


class WebhookQueue:
    """Repository of entries and lanes."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._entries = databases.main[ENTRIES]
        self._lanes = databases.main[LANES]
        self._clock = clock

    def add(self, rows: Sequence[Document], session: ClientSession | None = None) -> None:
        """Queue entries."""
        self._entries.insert_many([{**row, "fresh": True} for row in rows], session=session)

    def discover(self) -> int:
        """Make lanes for entries that are new; how many entries there were. May be repeated at any point."""
        found = self._entries.find({"fresh": True}, {"lane": 1, "hook": 1, "target": 1}, max_time_ms=_READ_MS)
        rows = list(found.hint("fresh").limit(_AT_ONCE))
        if rows:
            lanes = {row["lane"]: row for row in rows}
            now = self._clock()
            self._lanes.bulk_write([_opened(row, now) for row in lanes.values()], ordered=False)
            ids = [row["_id"] for row in rows]
            self._entries.update_many({"_id": {"$in": ids}}, {"$unset": {"fresh": ""}})
        return len(rows)

    def claim(self, busy: Collection[str] = ()) -> Lane | None:
        """Take the lane that has been due the longest, of those whose target is not busy, for as long as `LEASE`."""
        now = self._clock()
        wanted: Document = {"due": {"$lte": now}}
        if busy:
            wanted["target"] = {"$nin": list(busy)}
        found = self._lanes.find_one_and_update(
            wanted,
            {"$set": {"lock": secrets.token_hex(12), "due": now + LEASE}},
            sort=[("due", 1)],
            return_document=ReturnDocument.AFTER,
        )
        return _lane(found) if found else None

    def head(self, lane: Lane) -> Entry | None:
        """The next entry of a lane."""
        found = self._entries.find_one({"lane": lane.id}, sort=[("n", 1)], max_time_ms=_READ_MS)
        if not found:
            return None
        return Entry(
            found["_id"], found["type"], found["body"], found["since"], int(found.get("attempts", 0))
        )

    def begin(self, lane: Lane, entry: Entry) -> int:
        """Hold the lane for another `LEASE` to send its head; the number of this attempt. Raises LaneLost.

        Counted before the attempt, so that one which a crash broke off counts, too.
        """
        same = {"$eq": ["$head", entry.id]}
        change = {
            "due": self._clock() + LEASE,
            "head": entry.id,
            "attempts": {"$cond": [same, {"$add": ["$attempts", 1]}, 1]},
        }
        found = self._lanes.find_one_and_update(
            _held(lane), [{"$set": change}], {"attempts": 1}, return_document=ReturnDocument.AFTER
        )
        if not found:
            raise LaneLost(lane.id)
        return int(found["attempts"])

    def taken(self, lane: Lane, entry: Entry) -> None:
        """The receiver has the entry."""
        self._entries.delete_one({"_id": entry.id})
        wanted = {**_held(lane), "failures": {"$gt": 0}}
        self._lanes.update_one(wanted, {"$set": {"failures": 0}, "$unset": {"error": ""}})

    def put_off(self, lane: Lane, error: str, wait: timedelta) -> None:
        """Give a lane back whose head could not be delivered, to be tried again after `wait`."""
        change = {"due": self._clock() + wait, "lock": "", "error": error[:_ERROR_LENGTH]}
        self._lanes.update_one(_held(lane), {"$set": change, "$inc": {"failures": 1}})

    def give_up(self, lane: Lane, entry: Entry, attempts: int, error: str) -> None:
        """Take an entry out of its lane, as dead. Raises LaneLost."""
        if not self._lanes.find_one(_held(lane), {"_id": 1}):
            raise LaneLost(lane.id)
        change = self._death(lane, error)
        change["$set"]["attempts"] = entry.attempts + attempts
        self._entries.update_one({"_id": entry.id, "lane": lane.id}, change)

    def give_up_older(self, lane: Lane, than: datetime, error: str) -> None:
        """Take all entries out of a lane that have waited in it since then, untried."""
        wanted = {"lane": lane.id, "since": {"$lte": than}}
        self._entries.update_many(wanted, self._death(lane, error))

    def _death(self, lane: Lane, error: str) -> Document:
        now = self._clock()
        dead = {"of": lane.id, "died": now, "expires": now + DEAD_KEPT, "error": error[:_ERROR_LENGTH]}
        return {"$set": dead, "$unset": {"lane": "", "fresh": ""}}

    def release(self, lane: Lane) -> None:
        """Give a lane back that has more to send."""
        self._lanes.update_one(_held(lane), {"$set": {"due": self._clock(), "lock": ""}})

    def finish(self, lane: Lane) -> None:
        """End a lane that is empty, unless it got something new since it was taken; then give it back."""
        if not self._lanes.delete_one({**_held(lane), "version": lane.version}).deleted_count:
            self.release(lane)

    def forget(self, hook: ObjectId) -> None:
        """Remove all that a hook which is gone had still to be told, but not what is dead."""
        self._entries.delete_many({"hook": hook, "lane": {"$gt": ""}})
        self._lanes.delete_many({"hook": hook})

    def is_idle(self, hook: ObjectId) -> bool:
        """Whether a hook has nothing more to be told."""
        wanted = {"hook": hook, "lane": {"$gt": ""}}
        return self._entries.find_one(wanted, {"_id": 1}, max_time_ms=_READ_MS) is None

    def dead(self, hook: ObjectId | None, most: int) -> list[Document]:
        """Dead entries, the oldest first."""
        wanted: Document = {"died": {"$type": "date"}, **({"hook": hook} if hook else {})}
        found = self._entries.find(wanted, max_time_ms=_READ_MS).hint("dead").sort([("died", 1), ("_id", 1)])
        return [_shown(row) for row in found.limit(most)]

    def revive(self, entries: Sequence[ObjectId]) -> int:
        """Put dead entries back into their lanes, where they stood before those that came later; how many."""
        change: list[Document] = [
            {"$set": {"lane": "$of", "fresh": True, "since": self._clock()}},
            {"$unset": ["of", "died", "expires", "error"]},
        ]
        wanted = {"_id": {"$in": list(entries)}, "died": {"$type": "date"}}
        return self._entries.update_many(wanted, change).modified_count

    def states(self) -> dict[ObjectId, Document]:
        """By hook: how many entries wait and since when, failures, when it goes on, the last error."""
        counted = self._entries.aggregate(_WAITING, hint="waiting", maxTimeMS=_READ_MS)
        lanes = self._lanes.aggregate(_WORST, hint="by_hook", maxTimeMS=_READ_MS)
        states = {row["_id"]: dict(row) for row in counted}
        for row in lanes:
            states.setdefault(row["_id"], {"waiting": 0}).update(next=row["next"], **row["worst"])
        return states


def lane_of(hook: ObjectId, user: ObjectId | None) -> str:
    """The name of the lane of a hook and an account, or of what belongs to none."""
    return f"{hook}:{user or ''}"


def _opened(row: Document, now: datetime) -> UpdateOne:
    new: dict[str, Any] = {
        "hook": row["hook"], "target": row["target"], "due": now, "lock": "", "failures": 0, "attempts": 0,
    }  # fmt: skip
    return UpdateOne({"_id": row["lane"]}, {"$inc": {"version": 1}, "$setOnInsert": new}, upsert=True)


def _held(lane: Lane) -> Document:
    return {"_id": lane.id, "lock": lane.lock}


def _lane(row: Document) -> Lane:
    return Lane(row["_id"], row["hook"], row["target"], row["lock"], row["version"], row["failures"])


def _shown(row: Document) -> Document:
    return {
        "id": row["_id"],
        "hook": row["hook"],
        "user": row["user"],
        "type": row["type"],
        "died": row["died"],
        "attempts": row.get("attempts", 0),
        "error": row["error"],
        "body": row["body"],
    }
