"""Connections: opened, kept for a moment, used again, and ended when they take too long."""

from __future__ import annotations

import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from delivery.relay.hosts import Host
from delivery.relay.message import Message
from delivery.relay.replies import Failure, Reply, said, temporary
from delivery.relay.routes import Route, Tls
from delivery.relay.session import FAULTS, Client, Session, Stale, Timeouts

Context = Callable[[bool], ssl.SSLContext]
FindHosts = Callable[[Route], list[Host]]

_IDLE_SECONDS = 5.0
_LONGEST_SECONDS = 1800.0
_AVOIDED_SECONDS = 60.0
_MOST_MESSAGES = 100
_MOST_AVOIDED = 10_000
_MOST_TRIES = 6  # each may cost a time-out


def tls_context(verified: bool) -> ssl.SSLContext:
    """TLS as it is common today; without certificates where anybody at the other end will do."""
    context = ssl.create_default_context()
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _NoTls(Exception):
    """TLS was offered, and failed."""


class Opener:
    """Opens connections: to the first address that can be reached, of the first host that wants to talk."""

    def __init__(self, name: str, timeouts: Timeouts | None = None, context: Context = tls_context) -> None:
        self._name = name
        self._timeouts = timeouts or Timeouts()
        self._context = context

    def open(self, route: Route, hosts: list[Host]) -> Session:
        """An open connection. Raises Failure, always a temporary one: another host may do better tomorrow."""
        last = temporary("4.4.1", "No host could be reached")
        places = ((host, address) for host in hosts for address in host.addresses)
        for host, address in islice(places, _MOST_TRIES):
            try:
                return self._greeted(route, host, address)
            except Failure as failure:
                last = failure
        raise last

    def _greeted(self, route: Route, host: Host, address: str) -> Session:
        try:
            return self._connected(route, host, address, route.tls)
        except _NoTls as error:
            if route.tls is not Tls.OPPORTUNISTIC:
                raise temporary("4.7.5", f"TLS failed: {error}", host.name) from error
        except FAULTS as error:
            raise temporary("4.4.1", f"No connection to {host.name}: {error}", host.name) from error
        try:  # whom TLS fails with is no worse than one who does not offer it
            return self._connected(route, host, address, Tls.NONE)
        except FAULTS as error:
            raise temporary("4.4.1", f"No connection to {host.name}: {error}", host.name) from error

    def _connected(self, route: Route, host: Host, address: str, tls: Tls) -> Session:
        client = Client(host.name, self._name, self._timeouts.connect, lmtp=route.lmtp)
        try:
            context = self._context(tls is Tls.VERIFIED)
            code, text = client.open(address, route.port, context if route.implicit_tls else None)
            client.wait_at_most(self._timeouts.command)
            self._expect(220, code, text, host)
            is_secure = self._introduced(client, host, tls, context) or route.implicit_tls
            self._log_in(client, host, route, is_secure=is_secure)
        except BaseException:
            client.close()
            raise
        return Session(client, route, self._timeouts, is_secure=is_secure)

    def _introduced(self, client: Client, host: Host, tls: Tls, context: ssl.SSLContext) -> bool:
        """Send EHLO and start TLS where the route asks for it. Return whether TLS was started now."""
        self._hello(client, host)
        if client._implicit or tls is Tls.NONE:
            return False
        if not client.has_extn("starttls"):
            if tls.is_needed:
                raise temporary("4.7.4", "The server offers no TLS, which is required", host.name)
            return False
        try:
            code, text = client.starttls(context=context)
        except FAULTS as error:
            raise _NoTls(str(error)) from error
        if code != 220:
            if tls.is_needed:
                raise temporary("4.7.4", f"The server refuses TLS: {code} {text!r}", host.name)
            return False
        self._hello(client, host)
        return True

    def _hello(self, client: Client, host: Host) -> None:
        code, text = client.ehlo()
        if code >= 500 and not client._lmtp:
            code, text = client.helo()
        self._expect(250, code, text, host)

    def _expect(self, expected: int, code: int, text: bytes, host: Host) -> None:
        """A host that does not want to talk to us at all says nothing about the recipient: that is not for good."""
        if code != expected:
            reply = said(code, text, host.name)
            raise Failure(Reply(450, "4.3.0", f"{host.name} does not talk to us: {reply}", host.name))

    def _log_in(self, client: Client, host: Host, route: Route, *, is_secure: bool) -> None:
        if not route.login:
            return
        if not is_secure:
            raise temporary(
                "4.7.4", "The server offers no TLS, and the password is not sent without", host.name
            )
        try:
            client.login(*route.login)
        except smtplib.SMTPAuthenticationError as error:
            raise temporary(
                "4.7.8", f"The server refuses the log-in: {error.smtp_code}", host.name
            ) from error
        except smtplib.SMTPNotSupportedError as error:
            raise temporary("4.7.4", "The server offers no log-in", host.name) from error


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
                return  # it answers, and wants no more connections
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
