"""How much waits, and for how long: what an operator is woken up for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from storage.base.database import Clock, Databases, Stages

_MOST_COUNTED = 10_000
_READ_MS = 5000


@dataclass(frozen=True, slots=True)
class Backlog:
    """Ages are in seconds, 0 where nothing waits; `tasks` counts by kind and status."""

    queued: int
    due: int
    oldest_queued: float
    oldest_task: float
    tasks: Mapping[tuple[str, str], int]


def read_backlog(databases: Databases, clock: Clock) -> Backlog:
    """Read it in a bounded time, however much waits: from indexes, by estimate, or up to a limit."""
    now = clock()
    queue, tasks = databases.sender["zone-queue"], databases.main["tasks"]
    oldest = queue.find_one({}, {"created": 1}, sort=[("created", 1)], max_time_ms=_READ_MS) or {}
    due = {"lockedUntil": {"$lte": now}}
    first = tasks.find_one(due, {"lockedUntil": 1}, sort=[("lockedUntil", 1)], max_time_ms=_READ_MS) or {}
    groups: Stages = [
        {"$limit": _MOST_COUNTED},
        {"$group": {"_id": ["$task", "$status"], "n": {"$sum": 1}}},
    ]
    rows = tasks.aggregate(groups, maxTimeMS=_READ_MS)
    return Backlog(
        queued=queue.estimated_document_count(maxTimeMS=_READ_MS),
        due=queue.count_documents({"queued": {"$lte": now}}, limit=_MOST_COUNTED, maxTimeMS=_READ_MS),
        oldest_queued=_age(oldest.get("created"), now),
        oldest_task=_age(first.get("lockedUntil"), now),
        tasks={(str(row["_id"][0]), str(row["_id"][1] or "waiting")): row["n"] for row in rows},
    )


def _age(since: datetime | None, now: datetime) -> float:
    return max((now - since).total_seconds(), 0.0) if since else 0.0
