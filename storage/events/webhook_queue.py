"""The queue of events for webhooks, in order per hook and account: a lane.

An entry is enqueued with the change that it reports, and nothing else is written then. `discover` makes the lanes of
entries that are new; a lane is due, or leased to one runner: `due` is in both cases the moment from which a runner may
take it. Its runner sends the entries one after the other, so that none is overtaken.

A lane ends when it is empty. One that `discover` meets at that moment must not end: see `version`. An entry given up
leaves its lane for `of` and stays for a while as a dead letter, to be looked at and requeued.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne

from storage.base.database import Change, Clock, Condition, Databases, Session, Stages, holding
from storage.events.documents import (
    Backlog,
    DeadEntry,
    EventBody,
    LaneRow,
    WebhookQueueEntry,
    WebhookState,
    WorstLane,
)

ENTRIES, LANES = "webhookqueue", "webhooklanes"
LEASE = timedelta(minutes=2)
DEAD_KEPT = timedelta(days=30)
_AT_ONCE = 500
_READ_MS = 10_000
_ERROR_LENGTH = 300
_WAITING: Stages = [
    {"$match": {"lane": {"$gt": ""}}},
    {"$group": {"_id": "$hook", "waiting": {"$sum": 1}, "oldest": {"$min": "$since"}}},
]
_WORST: Stages = [
    {
        "$group": {
            "_id": "$hook",
            "next": {"$min": "$due"},
            "worst": {"$max": {"failures": "$failures", "error": "$error"}},
        }
    },
]


class LaneLost(Exception):
    """Another runner has the lane; whoever gets this must send nothing more of it."""


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
    body: EventBody
    since: datetime
    attempts: int


class WebhookQueue:
    """Repository of entries and lanes."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._entries = holding(databases.main[ENTRIES], WebhookQueueEntry)
        self._lanes = holding(databases.main[LANES], LaneRow)
        self._backlogs = holding(databases.main[ENTRIES], Backlog)
        self._worst_lanes = holding(databases.main[LANES], WorstLane)
        self._clock = clock

    def enqueue(self, rows: Sequence[WebhookQueueEntry], session: Session = None) -> None:
        """Enqueue entries."""
        self._entries.insert_many([{**row, "fresh": True} for row in rows], session=session)

    def discover(self) -> int:
        """Make lanes for entries that are new; return how many entries these were. May be repeated at any point."""
        cursor = self._entries.find(
            {"fresh": True}, {"lane": 1, "hook": 1, "target": 1}, max_time_ms=_READ_MS
        )
        rows = list(cursor.hint("fresh").limit(_AT_ONCE))
        if rows:
            lanes = {row["lane"]: row for row in rows}
            now = self._clock()
            self._lanes.bulk_write([_opened(row, now) for row in lanes.values()], ordered=False)
            ids = [row["_id"] for row in rows]
            self._entries.update_many({"_id": {"$in": ids}}, {"$unset": {"fresh": ""}})
        return len(rows)

    def claim(self, busy: Collection[str] = ()) -> Lane | None:
        """Claim the lane that has been due the longest, of those whose target is not busy, for as long as `LEASE`."""
        now = self._clock()
        condition = {"due": {"$lte": now}, **({"target": {"$nin": list(busy)}} if busy else {})}
        row = self._lanes.find_one_and_update(
            condition,
            {"$set": {"lock": secrets.token_hex(12), "due": now + LEASE}},
            sort=[("due", 1)],
            return_document=ReturnDocument.AFTER,
        )
        return _lane(row) if row else None

    def head(self, lane: Lane) -> Entry | None:
        """Return the next entry of a lane, None if it is empty."""
        row = self._entries.find_one({"lane": lane.id}, sort=[("n", 1)], max_time_ms=_READ_MS)
        if not row:
            return None
        return Entry(row["_id"], row["type"], row["body"], row["since"], int(row.get("attempts", 0)))

    def begin(self, lane: Lane, entry: Entry) -> int:
        """Hold the lane for another `LEASE` to send its head; return the number of this attempt. Raises LaneLost.

        Counted before the attempt, so that one which a crash broke off counts, too.
        """
        same = {"$eq": ["$head", entry.id]}
        change = {
            "due": self._clock() + LEASE,
            "head": entry.id,
            "attempts": {"$cond": [same, {"$add": ["$attempts", 1]}, 1]},
        }
        row = self._lanes.find_one_and_update(
            _held(lane), [{"$set": change}], {"attempts": 1}, return_document=ReturnDocument.AFTER
        )
        if not row:
            raise LaneLost(lane.id)
        return int(row["attempts"])

    def accept(self, lane: Lane, entry: Entry) -> None:
        """Remove an entry that its receiver has accepted."""
        self._entries.delete_one({"_id": entry.id})
        condition = {**_held(lane), "failures": {"$gt": 0}}
        self._lanes.update_one(condition, {"$set": {"failures": 0}, "$unset": {"error": ""}})

    def defer(self, lane: Lane, error: str, wait: timedelta) -> None:
        """Give a lane back whose head could not be delivered, to be tried again after `wait`."""
        change = {"due": self._clock() + wait, "lock": "", "error": error[:_ERROR_LENGTH]}
        self._lanes.update_one(_held(lane), {"$set": change, "$inc": {"failures": 1}})

    def give_up(self, lane: Lane, entry: Entry, attempts: int, error: str) -> None:
        """Take an entry out of its lane, as dead. Raises LaneLost."""
        if not self._lanes.find_one(_held(lane), {"_id": 1}):
            raise LaneLost(lane.id)
        change = self._death(lane, error, attempts=entry.attempts + attempts)
        self._entries.update_one({"_id": entry.id, "lane": lane.id}, change)

    def give_up_older(self, lane: Lane, than: datetime, error: str) -> None:
        """Take all entries out of a lane that have waited in it since then, untried."""
        condition = {"lane": lane.id, "since": {"$lte": than}}
        self._entries.update_many(condition, self._death(lane, error))

    def _death(self, lane: Lane, error: str, **more: int) -> Change:
        now = self._clock()
        dead = {"of": lane.id, "died": now, "expires": now + DEAD_KEPT, "error": error[:_ERROR_LENGTH]}
        return {"$set": {**dead, **more}, "$unset": {"lane": "", "fresh": ""}}

    def release(self, lane: Lane) -> None:
        """Release a lane that has more to send."""
        self._lanes.update_one(_held(lane), {"$set": {"due": self._clock(), "lock": ""}})

    def finish(self, lane: Lane) -> None:
        """Remove a lane that is empty; release it if it got something new since it was claimed."""
        if not self._lanes.delete_one({**_held(lane), "version": lane.version}).deleted_count:
            self.release(lane)

    def drop_pending(self, hook: ObjectId) -> None:
        """Remove the pending entries of a hook that is deleted, but not its dead ones."""
        self._entries.delete_many({"hook": hook, "lane": {"$gt": ""}})
        self._lanes.delete_many({"hook": hook})

    def is_idle(self, hook: ObjectId) -> bool:
        """Return whether a hook has no pending entries."""
        condition = {"hook": hook, "lane": {"$gt": ""}}
        return self._entries.find_one(condition, {"_id": 1}, max_time_ms=_READ_MS) is None

    def dead(self, hook: ObjectId | None, limit: int) -> list[DeadEntry]:
        """Return dead entries, the oldest first."""
        condition: Condition = {"died": {"$type": "date"}, **({"hook": hook} if hook else {})}
        rows = self._entries.find(condition, max_time_ms=_READ_MS).hint("dead")
        return [_dead(row) for row in rows.sort([("died", 1), ("_id", 1)]).limit(limit)]

    def requeue_dead(self, entries: Sequence[ObjectId]) -> int:
        """Put dead entries back into their lanes, ahead of those that came later; return how many."""
        change: Stages = [
            {"$set": {"lane": "$of", "fresh": True, "since": self._clock()}},
            {"$unset": ["of", "died", "expires", "error"]},
        ]
        condition = {"_id": {"$in": list(entries)}, "died": {"$type": "date"}}
        return self._entries.update_many(condition, change).modified_count

    def states(self) -> dict[ObjectId, WebhookState]:
        """Return by hook how far behind it is; hooks without entries and lanes are left out."""
        states: dict[ObjectId, WebhookState] = {}
        for group in self._backlogs.aggregate(_WAITING, hint="waiting", maxTimeMS=_READ_MS):
            states[group["_id"]] = {"waiting": group["waiting"], "oldest": group["oldest"]}
        for lanes in self._worst_lanes.aggregate(_WORST, hint="by_hook", maxTimeMS=_READ_MS):
            state = states.setdefault(lanes["_id"], {"waiting": 0})
            state.update(lanes["worst"])
            state["next"] = lanes["next"]
        return states


def lane_of(hook: ObjectId, user: ObjectId | None) -> str:
    """The name of the lane of a hook and an account, or of what belongs to none."""
    return f"{hook}:{user or ''}"


def _opened(row: WebhookQueueEntry, now: datetime) -> UpdateOne:
    new: LaneRow = {
        "hook": row["hook"], "target": row["target"], "due": now, "lock": "", "failures": 0, "attempts": 0,
    }  # fmt: skip
    return UpdateOne({"_id": row["lane"]}, {"$inc": {"version": 1}, "$setOnInsert": new}, upsert=True)


def _held(lane: Lane) -> Condition:
    return {"_id": lane.id, "lock": lane.lock}


def _lane(row: LaneRow) -> Lane:
    return Lane(row["_id"], row["hook"], row["target"], row["lock"], row["version"], row["failures"])


def _dead(row: WebhookQueueEntry) -> DeadEntry:
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
