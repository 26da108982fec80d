"""What the database says of how it runs what the code sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from storage.store import Store
from tests.rows import Row
from tests.storage.profiler import entries

_OF_DRIVER = {"lsid", "$db", "$clusterTime", "txnNumber", "autocommit", "startTransaction", "maxTimeMS"}


def plans(store: Store, work: Callable[[], Any]) -> list[Row]:
    """The plans of all `find` and `aggregate` that `work` makes."""
    return [explained(store, command) for command in reads(store, work)]


def reads(store: Store, work: Callable[[], Any]) -> list[Row]:
    """All `find` and `aggregate` that `work` makes, as the profiler saw them."""
    seen = entries(store.databases.main, work)
    commands = [{k: v for k, v in row.get("command", {}).items() if k not in _OF_DRIVER} for row in seen]
    return [command for command in commands if {"find", "aggregate"} & set(command)]


def explained(store: Store, command: Row) -> Row:
    """The plan of a command, and what it examined."""
    return store.databases.main.command("explain", command, verbosity="executionStats")


def values(tree: Any, key: str) -> Iterator[Any]:
    """All values under `key` at any depth."""
    for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if name == key:
            yield value
        if isinstance(value, dict | list):
            yield from values(value, key)


def indexes(plan: Row) -> set[str]:
    """The indexes of the plan that won; fails where a collection is scanned."""
    assert "COLLSCAN" not in set(values(plan, "stage")), plan
    return set(values(list(values(plan, "winningPlan")), "indexName"))


def examined(plan: Row) -> int:
    """How many documents were read."""
    return max(values(plan, "totalDocsExamined"))
