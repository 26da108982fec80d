"""The open connections: kept for a moment, used again, and ended when they take too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from delivery.relay.hosts import Host
from delivery.relay.message import Message
from delivery.relay.replies import Failure, Reply
from delivery.relay.routes import Route
from delivery.relay.session import Opener, Session, Stale

FindHosts = Callable[[Route], list[Host]]

_IDLE_SECONDS = 5.0
_LONGEST_SECONDS = 1800.0
_AVOIDED_SECONDS = 60.0
_MOST_MESSAGES = 100
_MOST_AVOIDED = 10_000


@dataclass(slots=True)
class _Kept:
    """Connections by route, those in use with when they were taken, and the routes where none came about lately."""

    idle: dict[Route, list[tuple[float, Session]]] = field(default_factory=dict)
    busy: dict[Session, float] = field(default_factory=dict)
    avoided: dict[Route, tuple[float, Failure]] = field(default_factory=dict)


class Sessions:
    """Sends messages over connections that are shared by all with the same route, one message at a time on each.

    After a connection has failed, its route is left alone for a minute: what follows is deferred at once, so that a
    dead host does not cost each message a time-out.
    """

    def __init__(
        self, opener: Opener, find_hosts: FindHosts, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._opener = opener
        self._find_hosts = find_hosts
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept = _Kept()

    def send(self, route: Route, recipient: str, message: Message) -> Reply:
        """Hand a message over for one recipient. Raises Failure."""
        session = self._idle(route) or self._opened(route)
        try:
            return self._over(session, recipient, message)
        except Stale:
            return self._over(self._opened(route), recipient, message)

    def _over(self, session: Session, recipient: str, message: Message) -> Reply:
        """Over this connection, which is kept if it is in order afterwards. Raises Failure, Stale."""
        keep = False
        try:
            reply = session.send(message.sender, recipient, message)
            keep = session.count < _MOST_MESSAGES
        except Failure:
            keep = session.is_open
            raise
        finally:
            self._give_back(session, keep=keep)
        return reply

    def _idle(self, route: Route) -> Session | None:
        with self._lock:
            waiting = self._kept.idle.get(route)
            if not waiting:
                return None
            _, session = waiting.pop()
            self._kept.busy[session] = self._monotonic()
            return session

    def _opened(self, route: Route) -> Session:
        with self._lock:
            until, failure = self._kept.avoided.get(route, (0.0, None))
        if failure and self._monotonic() < until:
            raise Failure(failure.reply)
        try:
            session = self._opener.open(route, self._find_hosts(route))
        except Failure as error:
            self._avoid(route, error)
            raise
        with self._lock:
            self._kept.avoided.pop(route, None)
            self._kept.busy[session] = self._monotonic()
        return session

    def _avoid(self, route: Route, failure: Failure) -> None:
        with self._lock:
            if any(session.route == route for session in self._kept.busy):
                return  # it is there, and has enough of us
            if len(self._kept.avoided) >= _MOST_AVOIDED:
                self._kept.avoided.clear()
            self._kept.avoided[route] = self._monotonic() + _AVOIDED_SECONDS, failure

    def _give_back(self, session: Session, *, keep: bool) -> None:
        with self._lock:
            self._kept.busy.pop(session, None)
            if keep:
                self._kept.idle.setdefault(session.route, []).append((self._monotonic(), session))
        if not keep:
            session.close()

    def look_after(self) -> None:
        """Close what was not used lately, and abort what takes far too long, such as a server that dribbles."""
        now = self._monotonic()
        with self._lock:
            late = [s for s, since in self._kept.busy.items() if now - since > _LONGEST_SECONDS]
            old = self._take_idle(now - _IDLE_SECONDS)
        for session in late:
            session.abort()
        for session in old:
            session.close()

    def _take_idle(self, since: float) -> list[Session]:
        taken = []
        for route, waiting in list(self._kept.idle.items()):
            taken += [session for used, session in waiting if used <= since]
            self._kept.idle[route] = [entry for entry in waiting if entry[0] > since]
            if not self._kept.idle[route]:
                del self._kept.idle[route]
        return taken

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            sessions = self._take_idle(float("inf"))
        for session in sessions:
            session.close()

    def abort(self) -> None:
        """End all connections at once, those in use too."""
        with self._lock:
            busy = list(self._kept.busy)
        for session in busy:
            session.abort()
        self.close()
