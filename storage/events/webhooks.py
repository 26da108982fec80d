"""Webhooks: who wants which events.

Before an event is emitted its hooks are looked up, so that an account without hooks costs no write. What is known of
them may be `_FRESH` old: a hook that another process made is in force after five seconds at most, and events may be
queued for so long for a hook that was deleted there, which delivery finds out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from bson import ObjectId

from problems import WebhookNotFound
from storage.base.database import Clock, Databases, holding
from storage.base.listing import page_of
from storage.base.paging import Order, Page, Paging
from storage.events.catalogue import CATALOGUE
from storage.events.documents import WebhookRow

_FRESH = timedelta(seconds=5)
_READ_MS = 3000
_PORTS = {"http": 80, "https": 443}  # addresses of SMTP are kept, as WildDuck does, and get nothing
_LISTED = dict.fromkeys(("type", "user", "url", "created"), 1)
_LISTENING = dict.fromkeys(("type", "user", "url"), 1)


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook that events can be sent to: its patterns, and its target as `scheme://host:port`."""

    id: ObjectId
    user: ObjectId | None
    patterns: frozenset[str]
    target: str

    def wants(self, kind: str) -> bool:
        """Return whether it wants events of this type."""
        return not self.patterns.isdisjoint(patterns_of(kind))


@dataclass(slots=True)
class _Known:
    """What is known at a moment; hooks of accounts are looked up as they are asked for."""

    at: datetime
    common: list[Hook]
    any_bound: bool
    bound: dict[ObjectId, list[Hook]] = field(default_factory=dict)


class Webhooks:
    """Repository of hooks, with a short memory of who listens."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = holding(databases.users["webhooks"], WebhookRow)
        self._clock = clock
        self._known: _Known | None = None

    def create(self, types: list[str], url: str, user: ObjectId | None) -> ObjectId:
        """Add a hook; one without an account gets all events, with or without an account."""
        hook = ObjectId()
        row: WebhookRow = {"_id": hook, "type": types, "user": user, "url": url, "created": self._clock()}
        self._collection.insert_one(row)
        self._known = None
        return hook

    def page(self, kind: str | None, user: ObjectId | None, paging: Paging) -> tuple[Page[WebhookRow], int]:
        """Return a page by id of hooks with exactly this pattern and account, and how many there are."""
        condition = {**({"type": kind} if kind else {}), **({"user": user} if user else {})}
        return page_of(self._collection, condition, _LISTED, paging, Order())

    def get(self, hook: ObjectId) -> WebhookRow:
        """Return a hook. Raises WebhookNotFound."""
        row = self.find(hook)
        if not row:
            raise WebhookNotFound
        return row

    def find(self, hook: ObjectId) -> WebhookRow | None:
        """Return a hook, None where it is deleted."""
        return self._collection.find_one({"_id": hook}, _LISTED, max_time_ms=_READ_MS)

    def delete(self, hook: ObjectId) -> bool:
        """Remove a hook. Return whether it existed."""
        deleted = self._collection.delete_one({"_id": hook}).deleted_count
        self._known = None
        return deleted > 0

    def all(self, limit: int) -> list[WebhookRow]:
        """Return hooks by id, for operators."""
        return list(self._collection.find({}, _LISTED, max_time_ms=_READ_MS).sort("_id", 1).limit(limit))

    def bound_to(self, user: ObjectId) -> list[ObjectId]:
        """Return the hooks of an account alone."""
        return [row["_id"] for row in self._collection.find({"user": user}, {"_id": 1}, max_time_ms=_READ_MS)]

    def listening(self, user: ObjectId | None) -> list[Hook]:
        """Return the hooks for events of an account: its own and those without one; for no account the latter."""
        known = self._fresh()
        if user is None or not known.any_bound:
            return known.common
        if user not in known.bound:
            known.bound[user] = self._read(user)
        return known.common + known.bound[user]

    def _fresh(self) -> _Known:
        now = self._clock()
        known = self._known
        if known is None or abs(now - known.at) > _FRESH:
            bound = self._collection.find_one(
                {"user": {"$type": "objectId"}}, {"_id": 1}, max_time_ms=_READ_MS
            )
            known = self._known = _Known(now, self._read(None), bound is not None)
        return known

    def _read(self, user: ObjectId | None) -> list[Hook]:
        rows = self._collection.find({"user": user}, _LISTENING, max_time_ms=_READ_MS).sort("_id", 1)
        return [hook for row in rows if (hook := _hook(row))]


def _hook(row: WebhookRow) -> Hook | None:
    """Return a hook that events can be sent to. WildDuck may have stored anything; it must not fail changes."""
    patterns, target = row.get("type"), _target(row.get("url"))
    if not target or not isinstance(patterns, list):
        return None
    return Hook(row["_id"], row.get("user"), frozenset(p for p in patterns if isinstance(p, str)), target)


def _target(url: object) -> str:
    """Return the receiver as `scheme://host:port`, without user, password and path; empty if it is not HTTP."""
    try:
        parts = urlsplit(str(url))
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname else ""


def patterns_of(kind: str) -> Collection[str]:
    """Return what matches an event type: `*`, itself, and for `a.b.c` also `a.*` and `a.b.*`."""
    parts = kind.split(".")
    every = set() if CATALOGUE[kind].by_name_only else {"*"}
    return {kind, *every, *(".".join(parts[:depth]) + ".*" for depth in range(1, len(parts)))}
