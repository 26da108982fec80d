"""The event streams of one process: who listens, is woken, or must leave.

One thread follows the journal for all of them and one numbers what has appeared (`storage.events.updates`); then the
streams of those accounts are woken and read for themselves, at the pace of their clients. Nothing is kept for a
client that reads slowly, and nothing is asked for a stream whose account does not change.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import structlog
from bson import ObjectId

from problems import TooManyStreams, summary
from storage.events.documents import Notice
from storage.events.feed import Feed, News
from storage.store import Store

log = structlog.get_logger()

MAX_PER_USER = 100
MAX_STREAMS = 8000
_READY_SECONDS = 10.0
_CHECK_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_BLOCKED_SECONDS = 30.0
_MAX_NOTICES = 50


class Listener:
    """Where one stream waits to be woken, and learns that it must end."""

    __slots__ = ("_disconnect", "_event", "_notices", "_wake", "blocked_since", "ended", "token", "user")

    def __init__(self, user: ObjectId, token: str | None, disconnect: Callable[[], None]) -> None:
        self.user = user
        self.token = token
        self.ended = False
        self.blocked_since: float | None = None
        self._notices: list[Notice] | None = None
        self._event: threading.Event | None = threading.Event()
        self._wake = self._event.set
        self._disconnect = disconnect

    def call(self, wake: Callable[[], None], disconnect: Callable[[], None]) -> None:
        """Call `wake` from now on in place of waking who waits; at once if there was something to wake for."""
        waited, self._event = self._event, None
        self._wake, self._disconnect = wake, disconnect
        if waited and waited.is_set():
            wake()

    def wait(self, seconds: float) -> bool:
        """Wait to be woken. Return whether that happened in time."""
        assert self._event, "a listener with callbacks does not wait"
        woken = self._event.wait(seconds)
        self._event.clear()
        return woken

    def wake(self) -> None:
        """Have the stream look into the journal."""
        self._wake()

    def send(self, notice: Notice) -> None:
        """Have the stream send a notice. A client that lets too many of them wait is lost."""
        self._notices = [*(self._notices or ()), notice]
        if len(self._notices) > _MAX_NOTICES:
            self.end()
            self._disconnect()
        self.wake()

    def notices(self) -> list[Notice]:
        """Return what was sent since the last call."""
        notices, self._notices = self._notices, None
        return notices or []

    def end(self) -> None:
        """Have the stream end."""
        self.ended = True
        self.wake()

    def drop_if_blocked(self, now: float) -> None:
        """Cut the connection to a client that has not taken what was sent to it for half a minute."""
        if self.blocked_since is not None and now - self.blocked_since > _BLOCKED_SECONDS:
            log.info("a client that does not read was dropped", user=str(self.user))
            self.end()
            self._disconnect()


class Streams:
    """All listeners of this process. `living_tokens` returns which of these tokens' records are still valid."""

    def __init__(self, store: Store, living_tokens: Callable[[Iterable[str]], set[str]]) -> None:
        self._store = store
        self._feed = Feed(store.databases)
        self._living_tokens = living_tokens
        self._lock = threading.Lock()
        self._listeners: defaultdict[ObjectId, set[Listener]] = defaultdict(set)
        self._fresh: defaultdict[ObjectId, list[ObjectId]] = defaultdict(list)
        self._behind: set[ObjectId] = set()
        self._ready, self._work, self._check = threading.Event(), threading.Event(), threading.Event()
        self._started = self._stopped = False

    def open(self, user: ObjectId, token: str | None, disconnect: Callable[[], None]) -> Listener:
        """Return a listener that misses nothing from here on. Raises TooManyStreams."""
        listener = Listener(user, token, disconnect)
        with self._lock:
            self._allow(user)
            self._listeners[user].add(listener)
            if not self._started:
                self._start()
        if not self._ready.wait(_READY_SECONDS):
            self.close(listener)
            raise TimeoutError("the journal cannot be followed")
        return listener

    def _allow(self, user: ObjectId) -> None:
        total = sum(map(len, self._listeners.values()))
        if self._stopped or total >= MAX_STREAMS or len(self._listeners.get(user, ())) >= MAX_PER_USER:
            raise TooManyStreams

    def close(self, listener: Listener) -> None:
        """Forget a listener; harmless where it is forgotten already."""
        with self._lock:
            of_user = self._listeners.get(listener.user)
            if of_user is None:
                return
            of_user.discard(listener)
            if not of_user:
                del self._listeners[listener.user]
                self._fresh.pop(listener.user, None)
                self._behind.discard(listener.user)

    def shut_down(self) -> None:
        """End all streams at once and for good."""
        self._stopped = True
        for listener in self._all():
            listener.end()
        self._work.set()
        self._check.set()

    def _all(self) -> list[Listener]:
        with self._lock:
            return [listener for listeners in self._listeners.values() for listener in listeners]

    def _start(self) -> None:
        self._started = True
        for loop in (self._follow_journal, self._number_entries, self._check_listeners):
            threading.Thread(target=loop, daemon=True, name=f"streams{loop.__name__}").start()

    def _follow_journal(self) -> None:
        """After a failure all accounts are behind: no stream here heard of what appeared meanwhile."""
        while not self._stopped:
            try:
                self._follow_until_stopped()
            except Exception as error:
                log.warning("the journal cannot be followed, trying again", reason=summary(error))
                self._ready.clear()
                time.sleep(_RETRY_SECONDS)

    def _follow_until_stopped(self) -> None:
        for news in self._feed.follow(self._on_ready):
            self._take(news)
            if self._stopped:
                return

    def _on_ready(self) -> None:
        with self._lock:
            self._behind.update(self._listeners)
        self._ready.set()
        self._work.set()

    def _take(self, news: list[News]) -> None:
        for item in news:
            with self._lock:
                listeners = list(self._listeners.get(item.user, ()))
                if listeners and item.payload is None:
                    self._fresh[item.user].append(item.entry)
                    self._work.set()
            if item.payload is not None:
                self._send_to(listeners, item.payload)

    def _send_to(self, listeners: list[Listener], notice: Notice) -> None:
        for listener in listeners:
            listener.send(notice)
        if listeners and notice.get("command") == "LOGOUT":
            self._check.set()

    def _number_entries(self) -> None:
        while not self._stopped:
            self._work.wait()
            self._work.clear()
            while task := self._next_task():
                user, entries, behind = task
                self._do(user, entries, behind=behind)

    def _next_task(self) -> tuple[ObjectId, list[ObjectId], bool] | None:
        with self._lock:
            user = next(iter(self._behind), None) or next(iter(self._fresh), None)
            if user is None or self._stopped:
                return None
            behind = user in self._behind
            self._behind.discard(user)
            return user, self._fresh.pop(user, []), behind

    def _do(self, user: ObjectId, entries: list[ObjectId], *, behind: bool) -> None:
        try:
            if behind:
                self._store.updates.catch_up(user)
            self._store.updates.place(user, entries)
        except Exception as error:
            log.warning("changes were not announced, trying again", user=str(user), reason=summary(error))
            time.sleep(_RETRY_SECONDS)
            with self._lock:
                if user in self._listeners:
                    self._behind.add(user)
            return
        with self._lock:
            listeners = list(self._listeners.get(user, ()))
        for listener in listeners:
            listener.wake()

    def _check_listeners(self) -> None:
        while not self._stopped:
            self._check.wait(_CHECK_SECONDS)
            self._check.clear()
            listeners = self._all()
            now = time.monotonic()
            for listener in listeners:
                listener.drop_if_blocked(now)
            try:
                self._end_unauthorized(listeners)
            except Exception as error:
                log.warning("streams were not checked, trying again", reason=summary(error))

    def _end_unauthorized(self, listeners: list[Listener]) -> None:
        """End streams whose account is deleted or disabled or whose token ended, by a few queries for all of them.

        It looks twice, as a change of the password ends all sessions and then carries the caller's own over.
        """
        if doubtful := self._unauthorized(listeners):
            time.sleep(_RETRY_SECONDS)
            for listener in self._unauthorized(doubtful):
                listener.end()

    def _unauthorized(self, listeners: list[Listener]) -> list[Listener]:
        if not listeners:
            return []
        accounts = self._store.users.active({listener.user for listener in listeners})
        tokens = self._living_tokens({listener.token for listener in listeners if listener.token})
        return [
            listener
            for listener in listeners
            if listener.user not in accounts or (listener.token and listener.token not in tokens)
        ]
