"""What the database did for a piece of work, as its own profiler saw it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo.database import Database

from tests.rows import Row


def entries(database: Database[dict[str, Any]], work: Callable[[], Any]) -> list[Row]:
    """All that the profiler saw while `work` ran."""
    database.command("profile", 2)
    try:
        work()
    finally:
        database.command("profile", 0)
    seen = list(database["system.profile"].find({"ns": {"$ne": f"{database.name}.system.profile"}}))
    database.drop_collection("system.profile")
    return seen


def profiled(database: Database[dict[str, Any]], collection: str, work: Callable[[], Any]) -> list[Row]:
    """What `work` did with a collection: `planSummary`, `docsExamined` and the like."""
    seen = entries(database, work)
    return [row for row in seen if row["ns"] == f"{database.name}.{collection}" and "planSummary" in row]


def assert_indexed(entry: Row, most: int) -> None:
    """An index led to at most so many documents, in the order asked for."""
    assert "COLLSCAN" not in entry["planSummary"], entry
    assert not entry.get("hasSortStage"), entry
    assert entry["docsExamined"] <= most, entry
