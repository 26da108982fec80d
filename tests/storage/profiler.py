"""What the database did for a piece of work, as its own profiler saw it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo.database import Database

Document = dict[str, Any]


def entries(database: Database[Document], work: Callable[[], Any]) -> list[Document]:
    """All that the profiler saw while `work` ran."""
    database.command("profile", 2)
    try:
        work()
    finally:
        database.command("profile", 0)
    seen = list(database["system.profile"].find({"ns": {"$ne": f"{database.name}.system.profile"}}))
    database.drop_collection("system.profile")
    return seen


def profiled(database: Database[Document], collection: str, work: Callable[[], Any]) -> list[Document]:
    """What `work` did with a collection: `planSummary`, `docsExamined` and the like."""
    seen = entries(database, work)
    return [row for row in seen if row["ns"] == f"{database.name}.{collection}" and "planSummary" in row]


def assert_indexed(entry: Document, most: int) -> None:
    """An index led to at most so many documents, in the order asked for."""
    assert "COLLSCAN" not in entry["planSummary"], entry
    assert not entry.get("hasSortStage"), entry
    assert entry["docsExamined"] <= most, entry
