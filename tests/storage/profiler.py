"""What the database did for a piece of work, as its own profiler saw it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo.database import Database

Document = dict[str, Any]


def profiled(database: Database[Document], collection: str, work: Callable[[], Any]) -> list[Document]:
    """The profiler's entries of what `work` did with a collection: `planSummary`, `docsExamined` and the like."""
    database.command("profile", 2)
    try:
        work()
    finally:
        database.command("profile", 0)
    entries = list(database["system.profile"].find({"ns": f"{database.name}.{collection}"}))
    database.drop_collection("system.profile")
    return [entry for entry in entries if "planSummary" in entry]


def assert_indexed(entry: Document, most: int) -> None:
    """An index led to at most so many documents, in the order asked for."""
    assert "COLLSCAN" not in entry["planSummary"], entry
    assert not entry.get("hasSortStage"), entry
    assert entry["docsExamined"] <= most, entry
