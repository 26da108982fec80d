"""Work that outlives a request, in the collection that WildDuck's runners take theirs from.

A task is free (`locked` false), waits for its time (`locked` true), or runs under the lock of one runner, 12 random
bytes. `lockedUntil` is in all three cases the moment from which a runner of ours may take it. `status` is what
WildDuck writes there; `attempts`, `progress`, `resume` and `error` are of our own, and no harm to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from problems import DeleteInProgress
from storage.base.database import Change, Clock, Condition, Databases, Document, Session

LEASE = timedelta(minutes=10)
MOST_ATTEMPTS = 10
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=6)
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_FAILED, _FINISHED = "failed", "finished"
_LOOKED_AT = timedelta(days=1)
_KEPT = ("_id", "task", "created", "data", "runStart", "runCount", "progress", "error")
_OWN = ("progress", "resume", "error", "finished")


class LeaseLost(Exception):
    """Another runner has the task by now; whoever gets this must stop working on it."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task that this process holds; `resume` is what the last step left, empty at the start."""

    id: ObjectId
    kind: str
    data: Document
    resume: Document
    lock: bytes
    attempts: int
    updated: datetime | None


class Tasks:
    """Repository of background work. One runner at a time has a task; a task whose runner died is taken again."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.main["tasks"]
        self._finished = databases.main["finishedtasks"]
        self._clock = clock

    def add(
        self,
        kind: str,
        data: Document,
        due: datetime | None = None,
        session: Session = None,
        task_id: ObjectId | None = None,
    ) -> ObjectId:
        """Add a task, for now or for later; its id. Only kinds that WildDuck knows may be added here."""
        now = self._clock()
        row = {"_id": task_id or ObjectId(), "task": kind, "created": now, "data": data, **self._start(due)}
        self._collection.insert_one(row, session=session)
        return ObjectId(row["_id"])

    def add_once(self, kind: str, match: Condition, data: Document) -> tuple[ObjectId, bool]:
        """Add a task of which a unique index allows one; its id, and whether it was there already."""
        while True:
            try:
                return self.add(kind, data), False
            except DuplicateKeyError:
                found = self._collection.find_one({"task": kind, **match}, {"_id": 1})
            if found:
                return ObjectId(found["_id"]), True

    def ensure(
        self,
        kind: str,
        match: Condition,
        data: Document,
        due: datetime | None = None,
        session: Session = None,
    ) -> ObjectId:
        """Add a task unless there is one that `match` finds; its id.

        One that has not begun, or has failed for good, gets the new time; one that runs goes on.
        """
        found = self._again(kind, match, due, session)
        return found or self.add(kind, data, due, session)

    def renew(
        self,
        kind: str,
        match: Condition,
        counter: Document,
        task_id: ObjectId,
        due: datetime | None = None,
        session: Session = None,
    ) -> ObjectId:
        """The same for a task whose data is `match` and a counter, `{name: number}`, that only goes up; its id.

        One that runs is not finished by what it has done so far, see `finish`. `task_id` is the id that a new one
        gets, the same for all that ask for the same, so that of two who add it at once one finds the other's.
        """
        within = {f"data.{name}": value for name, value in match.items()}
        while not (found := self._again(kind, within, due, session, counter)):
            try:
                return self.add(kind, {**match, **counter}, due, session, task_id)
            except DuplicateKeyError:
                if session:
                    raise
        return found

    def _again(
        self,
        kind: str,
        match: Condition,
        due: datetime | None,
        session: Session,
        counter: Document | None = None,
    ) -> ObjectId | None:
        """Ask for a task that is there once more; its id, None where there is none."""
        wanted = {"task": kind, **match}
        found = self._collection.find_one(wanted, {"_id": 1}, session=session)
        if not found:
            return None
        if counter is not None:
            newer = {f"data.{name}": number for name, number in counter.items()}
            known = {"_id": found["_id"]}
            change: Change = {"$max": newer, "$set": {"updated": self._clock()}}
            if not self._collection.update_one(known, change, session=session).matched_count:
                return None
        idle = {"_id": found["_id"], "$or": [{"runCount": None}, {"status": _FAILED}]}
        anew = {"$set": {**self._start(due), "updated": self._clock(), "attempts": 0}}
        self._collection.update_one(idle, anew, session=session)
        return ObjectId(found["_id"])

    def _start(self, due: datetime | None) -> Change:
        if due:
            return {"locked": True, "lockedUntil": due, "status": "delayed"}
        return {"locked": False, "lockedUntil": self._clock(), "status": "waiting"}

    def withdraw(self, kind: str, user: ObjectId, session: Session = None) -> ObjectId | None:
        """Take back an account's task that has not begun; its id, None where there is none.

        Raises DeleteInProgress where it has begun.
        """
        wanted = {"task": kind, "data.user": user}
        unbegun = {**wanted, "runCount": None, "status": {"$in": ["delayed", "waiting"]}}
        found = self._collection.find_one_and_delete(unbegun, {"_id": 1}, session=session)
        if found:
            return ObjectId(found["_id"])
        if self._collection.find_one({**wanted, "runCount": {"$ne": None}}, {"_id": 1}, session=session):
            raise DeleteInProgress
        return None

    def drop_waiting(self, kind: str, match: Condition, session: Session = None) -> None:
        """Remove what has not begun of the tasks that `match` finds."""
        self._collection.delete_many({"task": kind, **match, "runCount": None}, session=session)

    def claim(self, kinds: Collection[str]) -> Task | None:
        """Take the task of these kinds that has been due the longest, for as long as `LEASE`.

        One that ends its runner each time is given up, so that it does not go on to do so.
        """
        while row := self._take(kinds):
            task = _task(row)
            if task.attempts <= MOST_ATTEMPTS:
                return task
            self._give_up(task, "Every runner that took it ended without a result")
        return None

    def _take(self, kinds: Collection[str]) -> Document | None:
        """WildDuck leaves one that failed with a `lockedUntil` an hour ahead; we keep to that pause."""
        now = self._clock()
        change = {
            "$set": {
                "locked": secrets.token_bytes(12),
                "lockedUntil": now + LEASE,
                "status": "active",
                "runStart": now,
            },
            "$inc": {"runCount": 1, "attempts": 1},
        }
        return self._collection.find_one_and_update(
            {"lockedUntil": {"$lte": now}, "task": {"$in": list(kinds)}},
            change,
            sort=[("lockedUntil", 1), ("_id", 1)],
            return_document=ReturnDocument.AFTER,
        )

    def advance(self, task: Task, resume: Document, done: int | None, total: int | None) -> None:
        """Note that a step is done, and hold the task for another `LEASE`. Raises LeaseLost.

        Who advances is not stuck, so attempts are counted from here anew.
        """
        now = self._clock()
        progress = {name: value for name, value in (("done", done), ("total", total)) if value is not None}
        change = {
            "$set": {
                "lockedUntil": now + LEASE,
                "status": "processing",
                "extendTime": now,
                "resume": resume,
                "progress": progress,
                "attempts": 1,
            },
            "$inc": {"extendCount": 1},
        }
        if not self._change(task, change):
            raise LeaseLost(f"task {task.id} was taken over")

    def finish(self, task: Task) -> None:
        """The work is done; as in WildDuck the task is gone then. For a day it can be looked at elsewhere.

        One that was asked for again meanwhile is given back instead, as it may have passed what was changed.
        """
        row = self._collection.find_one_and_delete(
            {"_id": task.id, "locked": task.lock, "updated": task.updated}
        )
        if row is None:
            self.release(task)
            return
        now = self._clock()
        done = {name: row[name] for name in _KEPT if name in row}
        done.update(status=_FINISHED, finished=now, expires=now + _LOOKED_AT)
        self._finished.replace_one({"_id": task.id}, done, upsert=True)

    def release(self, task: Task) -> None:
        """Give a task back that is to be continued at once, by whoever comes."""
        free = {"locked": False, "lockedUntil": self._clock(), "status": "waiting"}
        self._change(task, {"$set": free, "$inc": {"attempts": -1}})

    def fail(self, task: Task, error: str) -> None:
        """Try it again after a pause that grows, at last give it up: it stays as `failed`, to be looked at."""
        row = self._collection.find_one({"_id": task.id, "locked": task.lock}, {"attempts": 1})
        attempts = row["attempts"] if row else 1
        if attempts >= MOST_ATTEMPTS:
            return self._give_up(task, error)
        wait = min(_FIRST_WAIT * 2 ** (attempts - 1), _LONGEST_WAIT)
        paused = {"locked": True, "lockedUntil": self._clock() + wait, "status": "waiting", "error": error}
        self._change(task, {"$set": paused})
        return None

    def _give_up(self, task: Task, error: str) -> None:
        """Locked for good, as WildDuck would take a free one again."""
        ended = {"locked": True, "lockedUntil": _NEVER, "status": _FAILED, "error": error}
        self._change(task, {"$set": {**ended, "failed": self._clock()}})

    def _change(self, task: Task, change: Change) -> bool:
        return self._collection.update_one({"_id": task.id, "locked": task.lock}, change).matched_count > 0

    def retry(self, task_id: ObjectId) -> bool:
        """Start one again that was given up, where it stood; whether there was one."""
        change: Change = {
            "$set": {**self._start(None), "attempts": 0},
            "$unset": {"error": "", "failed": ""},
        }
        return self._collection.update_one({"_id": task_id, "status": _FAILED}, change).matched_count > 0

    def all(self, most: int = 1000, *, failed: bool = False) -> list[Document]:
        """What there is to do, by due time: `id`, `task`, `status`, `due`, `created`, `attempts` and the like.

        With `failed` only what was given up.
        """
        wanted = {"status": _FAILED} if failed else {}
        rows = self._collection.find(wanted).sort([("lockedUntil", 1), ("_id", 1)]).limit(most)
        return [_shown(row) for row in rows]

    def finished(self, most: int = 1000) -> list[Document]:
        """What was done within the last day, the latest first."""
        rows = self._finished.find({"expires": {"$gt": self._clock()}}).sort([("expires", -1), ("_id", -1)])
        return [_shown(row) for row in rows.limit(most)]

    def find(self, task_id: ObjectId) -> Document | None:
        """One task in the same form, also one that was done within the last day."""
        for collection in (self._collection, self._finished):
            if row := collection.find_one({"_id": task_id}):
                return _shown(row)
        return None


def _task(row: Document) -> Task:
    """Old rows of WildDuck hold their data at the top."""
    return Task(
        id=row["_id"],
        kind=row["task"],
        data=row.get("data", row),
        resume=row.get("resume") or {},
        lock=row["locked"],
        attempts=row["attempts"],
        updated=row.get("updated"),
    )


def _shown(row: Document) -> dict[str, Any]:
    return {
        "id": row["_id"],
        "task": row["task"],
        "status": row.get("status"),
        "due": row.get("lockedUntil"),
        "created": row.get("created"),
        "attempts": row.get("attempts", 0),
        "runs": row.get("runCount", 0),
        **({"data": row["data"]} if row.get("data") else {}),
        **{name: row[name] for name in _OWN if row.get(name)},
    }
