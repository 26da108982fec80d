"""The stream of an account's changes as server-sent events (WHATWG HTML §9.2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

import orjson
from bson import ObjectId

from storage.accounts.user_fields import require_active
from storage.events.documents import JournalEntry, Notice
from storage.events.updates import PAGE
from storage.store import Store
from updates.listeners import Listener, Streams

KEEP_ALIVE_SECONDS = 15.0
CONTENT_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_INTERNAL = frozenset({"_id", "ignore", "user", "modseq", "unseenChange", "created", "unseen"})


class Live(Protocol):
    """A body that lasts until it ends by itself, for a server that does not wait for it in a thread or greenlet."""

    blocked_since: float | None
    """Since when, by the monotonic clock, the client has not taken what is being sent to it."""

    @property
    def ended(self) -> bool:
        """Return whether nothing more is to be sent."""

    def call(self, wake: Callable[[], None], disconnect: Callable[[], None]) -> None:
        """Call `wake` from now on when there may be news or the end, `disconnect` to cut the connection."""

    def first(self) -> Iterator[bytes]:
        """Return what is sent at the beginning."""

    def news(self) -> Iterator[bytes]:
        """Return what is new since."""

    def idling(self) -> bytes:
        """Return what keeps an idle connection alive."""

    def close(self) -> None:
        """The last byte was sent, or the client has gone."""


def open_stream(
    store: Store,
    streams: Streams,
    user: ObjectId,
    last: ObjectId | None,
    *,
    token: str | None = None,
    disconnect: Callable[[], None],
) -> EventStream:
    """Begin to listen; the stream has the events behind `last`, or those from now on.

    It ends with the record of `token`; `disconnect` cuts the client's connection. Raises UserDisabled and
    TooManyStreams.
    """
    require_active(store.users.get(user, {"disabled": 1, "suspended": 1}))
    listener = streams.open(user, token, disconnect)
    try:
        newest = store.updates.catch_up(user)
        number = store.updates.behind(user, last) if last else newest
    except BaseException:
        streams.close(listener)
        raise
    return EventStream(store, streams, listener, number, replay=last is not None)


class EventStream:
    """The events of one stream, from its place in the order on; a `Live` body."""

    __slots__ = ("_idle", "_listener", "_number", "_replay", "_store", "_streams")

    def __init__(
        self, store: Store, streams: Streams, listener: Listener, number: int, *, replay: bool
    ) -> None:
        self._store = store
        self._streams = streams
        self._listener = listener
        self._number = number
        self._replay = replay
        self._idle = 0

    @property
    def ended(self) -> bool:
        """Return whether the account, its right, or this process has ended the stream."""
        return self._listener.ended

    @property
    def blocked_since(self) -> float | None:
        """Since when the client has not taken what is being sent."""
        return self._listener.blocked_since

    @blocked_since.setter
    def blocked_since(self, since: float | None) -> None:
        self._listener.blocked_since = since

    def call(self, wake: Callable[[], None], disconnect: Callable[[], None]) -> None:
        """Call these from now on instead of having somebody wait, see `Listener.call`."""
        self._listener.call(wake, disconnect)

    def close(self) -> None:
        """Stop listening."""
        self._streams.close(self._listener)

    def chunks(self) -> Iterator[bytes]:
        """The stream's bytes, waiting in between. While one is being sent, the listener shows since when."""
        for chunk in self._chunks():
            self.blocked_since = time.monotonic()
            yield chunk
            self.blocked_since = None
            if self.ended:
                return

    def _chunks(self) -> Iterator[bytes]:
        sent = time.monotonic()
        yield from self.first()
        while not self.ended:
            if not self._listener.wait(max(sent + KEEP_ALIVE_SECONDS - time.monotonic(), 0)):
                sent = time.monotonic()
                yield self.idling()
                continue
            for chunk in self.news():
                sent = time.monotonic()
                yield chunk

    def first(self) -> Iterator[bytes]:
        """What is behind the place that the client resumes from, then a sign of life."""
        if self._replay:
            yield from self._batch()
        yield self.idling()

    def idling(self) -> bytes:
        """A comment; the next one has the next number."""
        self._idle += 1
        return b": idling %d\n\n" % self._idle

    def news(self) -> Iterator[bytes]:
        """Notices and events that the client has not seen."""
        for notice in self._listener.notices():
            yield _event(_public(notice))
        yield from self._batch()

    def _batch(self) -> Iterator[bytes]:
        """All entries behind the stream's place, page by page, then the counters of the mailboxes they changed."""
        changed: dict[ObjectId, None] = {}
        last: ObjectId | None = None
        while rows := self._store.updates.after(self._listener.user, self._number):
            entries = [entry for _, entry in rows if entry.get("command")]
            for entry in entries:
                last = entry["_id"]
                if _moves_counters(entry):
                    changed[entry["mailbox"]] = None
            self._number = rows[-1][0]
            if entries:
                yield b"".join(_event(_public(entry), entry["_id"]) for entry in entries)
            if len(rows) < PAGE:
                break
        if changed and last:
            yield from self._counters(list(changed), last)

    def _counters(self, mailboxes: list[ObjectId], last: ObjectId) -> Iterator[bytes]:
        """In one piece; a mailbox that is gone has none."""
        existing = {box["_id"]: box for box in self._store.mailboxes.some(self._listener.user, mailboxes)}
        counts = self._store.mailbox_counts.of(list(existing.values()))
        rows = [(mailbox, counts[mailbox]) for mailbox in mailboxes if mailbox in existing]
        if rows:
            yield b"".join(
                _event({"command": "COUNTERS", "mailbox": box, "total": total, "unseen": unseen}, last)
                for box, (total, unseen) in rows
            )


def _moves_counters(entry: JournalEntry) -> bool:
    if entry["command"] == "FETCH":
        return bool(entry.get("unseenChange") or entry.get("unseen"))
    return entry["command"] in ("EXISTS", "EXPUNGE")


def _public(fields: JournalEntry | Notice) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in _INTERNAL}


def _event(fields: Mapping[str, object], event_id: ObjectId | None = None) -> bytes:
    """One event: its fields as one line of JSON, behind them its id."""
    data = orjson.dumps(fields, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)
    tail = b"\nid: " + str(event_id).encode() if event_id else b""
    return b"data: " + data + tail + b"\n\n"


def _plain(value: object) -> str:
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON form")
