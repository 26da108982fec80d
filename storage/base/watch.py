"""Every operation on the database with the id of its request, and the time it took.

PyMongo's own command listeners cost 14 µs of processor time a command, this costs two or three; and a listener comes
too late to add a comment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pymongo.collection import Collection
from pymongo.cursor import Cursor
from pymongo.database import Database

Document = dict[str, Any]

# Bounds of what a log shows of an operation
_DEEPEST = 8
_LONGEST_LIST = 8
_MOST_FIELDS = 24
_LONGEST_NAME = 64

_COMMANDS: Mapping[str, str] = {
    "aggregate": "aggregate",
    "bulk_write": "bulkWrite",
    "count_documents": "count",
    "delete_many": "delete",
    "delete_one": "delete",
    "distinct": "distinct",
    "find_one_and_delete": "findAndModify",
    "find_one_and_update": "findAndModify",
    "insert_many": "insert",
    "insert_one": "insert",
    "replace_one": "update",
    "update_many": "update",
    "update_one": "update",
}


class Watch:
    """What a process wants to know of its database operations. This one: nothing."""

    def comment(self) -> str | None:
        """What the database shows beside an operation: in its log, its profiler and `$currentOp`."""
        return None

    def took(self, command: str, collection: str, seconds: float, given: tuple[Any, ...]) -> None:
        """An operation has ended. `given` are its arguments, whose values are nobody's business."""


class WatchedDatabase(Database[Document]):
    """A database whose collections are watched."""

    def __init__(self, watch: Watch, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watch = watch

    def __getitem__(self, name: str) -> WatchedCollection:
        return WatchedCollection(self._watch, self, name)

    def get_collection(self, name: str, *arguments: Any, **options: Any) -> WatchedCollection:
        """A collection with options of its own."""
        return self[name].with_options(*arguments, **options)


class WatchedCollection(Collection[Document]):
    """A collection whose operations carry a comment and are timed."""

    def __init__(self, watch: Watch, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watch = watch

    def find(self, *arguments: Any, **options: Any) -> _WatchedCursor:
        """As PyMongo's; the cursor asks the database when it is read."""
        if "comment" not in options and (comment := self._watch.comment()):
            options["comment"] = comment
        return _WatchedCursor(self, *arguments, **options)

    def with_options(self, *arguments: Any, **options: Any) -> WatchedCollection:  # type: ignore[override]
        """The same collection with other options."""
        plain = super().with_options(*arguments, **options)
        return WatchedCollection(
            self._watch,
            self.database,
            self.name,
            codec_options=plain.codec_options,
            read_preference=plain.read_preference,
            write_concern=plain.write_concern,
            read_concern=plain.read_concern,
        )


class _WatchedCursor(Cursor[Document]):
    """A cursor that is timed while it fetches rows, and not while these are used."""

    def __init__(self, collection: WatchedCollection, *arguments: Any, **options: Any) -> None:
        super().__init__(collection, *arguments, **options)
        self._watched = collection._watch, collection.name, arguments

    def _refresh(self) -> int:
        watch, name, arguments = self._watched
        started = time.perf_counter()
        try:
            return super()._refresh()
        finally:
            watch.took("find", name, time.perf_counter() - started, arguments)


def _watched(method: str, command: str) -> Callable[..., Any]:
    plain: Callable[..., Any] = getattr(Collection, method)

    def call(self: WatchedCollection, *arguments: Any, **options: Any) -> Any:
        watch = self._watch
        if "comment" not in options and (comment := watch.comment()):
            options["comment"] = comment
        started = time.perf_counter()
        try:
            return plain(self, *arguments, **options)
        finally:
            watch.took(command, self.name, time.perf_counter() - started, arguments)

    call.__name__, call.__doc__ = method, f"As PyMongo's `{method}`."
    return call


for _method, _command in _COMMANDS.items():
    setattr(WatchedCollection, _method, _watched(_method, _command))


def shape(value: Any, depth: int = _DEEPEST) -> Any:
    """Return what an operation looks like without its values, for logs.

    The value with `?` in place of everything that is no field, operator or list.

    Equal neighbours in a list stand once. Names of fields are cut where somebody's text may have become one.
    """
    if isinstance(value, Mapping):
        return _fields(value, depth) if depth else "{…}"
    if isinstance(value, list | tuple):
        return _items(value, depth) if depth else "[…]"
    return "?"


def _fields(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    pairs = list(value.items())
    shown = {_name(name): shape(part, depth - 1) for name, part in pairs[:_MOST_FIELDS]}
    return shown if len(pairs) <= _MOST_FIELDS else {**shown, "…": len(pairs) - _MOST_FIELDS}


def _name(name: Any) -> str:
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + "…"


def _items(value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
    shown: list[Any] = []
    for part in value[:_LONGEST_LIST]:
        item = shape(part, depth - 1)
        if not shown or shown[-1] != item:
            shown.append(item)
    return shown if len(value) <= _LONGEST_LIST else [*shown, "…"]
