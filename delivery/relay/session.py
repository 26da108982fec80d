"""A connection to a server, over which one message after the other goes."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from delivery.relay.hosts import Host
from delivery.relay.message import Message, is_path
from delivery.relay.replies import Failure, Reply, permanent, said, temporary
from delivery.relay.routes import Route, Tls
from delivery.relay.smtp import Client

_FAULTS = (OSError, smtplib.SMTPException, ValueError)
_CLOSING = 421
_MOST_TRIES = 6  # each may cost a time-out

Context = Callable[[bool], ssl.SSLContext]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: to connect, for each command, and for the reply to a whole message (RFC 5321 §4.5.3.2)."""

    connect: float = 30.0
    command: float = 120.0
    content: float = 600.0


def tls_context(verified: bool) -> ssl.SSLContext:
    """TLS as it is common today; without certificates where anybody at the other end will do."""
    context = ssl.create_default_context()
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Stale(Exception):
    """A connection that was kept is gone; nothing of the message was sent over it."""


class _NoTls(Exception):
    """TLS was offered, and failed."""


class Session:
    """An open connection. `count` messages went over it."""

    def __init__(self, client: Client, route: Route, timeouts: Timeouts, *, is_secure: bool) -> None:
        self.route = route
        self.count = 0
        self.is_secure = is_secure
        self.is_open = True
        self._client = client
        self._timeouts = timeouts

    @property
    def host(self) -> str:
        """Who is at the other end."""
        return self._client._host

    def send(self, sender: str, recipient: str, message: Message) -> Reply:
        """Hand a message over for one recipient. Raises Failure, or Stale."""
        try:
            reply = self._transaction(sender, recipient, message)
        except Failure as failure:
            self._clear_up(failure.reply)
            raise
        except _FAULTS as error:
            self.close(politely=False)
            raise temporary("4.4.2", f"The connection was lost: {error}", self.host) from error
        self.count += 1
        return reply

    def _transaction(self, sender: str, recipient: str, message: Message) -> Reply:
        mail = f"FROM:<{sender}>{self._parameters(sender, recipient, message)}"
        self._client.wait_at_most(self._timeouts.command)
        try:
            self._command("MAIL", mail)
        except (Failure, *_FAULTS) as error:
            if self.count and (not isinstance(error, Failure) or error.reply.code == _CLOSING):
                raise Stale from error
            raise
        self._command("RCPT", f"TO:<{recipient}>")
        self._client.wait_at_most(self._timeouts.content)
        try:
            code, text = self._client.data(message.content)
        except smtplib.SMTPDataError as error:
            raise Failure(self._said(error.smtp_code, error.smtp_error)) from error
        return self._fine(code, text)

    def _command(self, verb: str, rest: str) -> Reply:
        return self._fine(*self._client.docmd(verb, rest))

    def _fine(self, code: int, text: bytes) -> Reply:
        if 200 <= code < 300:
            return self._said(code, text)
        if 400 <= code < 600:
            raise Failure(self._said(code, text))
        raise smtplib.SMTPServerDisconnected(f"no reply of SMTP: {code}")

    def _said(self, code: int, text: bytes | str) -> Reply:
        return said(code, text, self.host)

    def _parameters(self, sender: str, recipient: str, message: Message) -> str:
        """What MAIL says besides. Raises Failure where the server cannot take such a message."""
        offers = self._client.has_extn
        if not is_path(recipient) or (sender and not is_path(sender)):
            raise permanent("5.1.3", "The address cannot be sent to")
        international = not (sender + recipient).isascii()
        if international and not offers("smtputf8"):
            raise permanent("5.6.7", "The server takes no addresses but in ASCII", self.host)
        if message.is_8bit and not offers("8bitmime"):
            raise permanent("5.6.3", "The server takes no mail with 8-bit data", self.host)
        most = self._client.esmtp_features.get("size", "").strip()
        if most.isdigit() and 0 < int(most) < len(message.content):
            raise permanent("5.3.4", f"The server takes no mail of more than {most} bytes", self.host)
        utf8 = offers("smtputf8") and (international or message.has_utf8_header)
        self._client.command_encoding = "utf-8" if utf8 else "ascii"
        return (
            (f" SIZE={len(message.content)}" if offers("size") else "")
            + (" BODY=8BITMIME" if offers("8bitmime") and message.is_8bit else "")
            + (" SMTPUTF8" if utf8 else "")
        )

    def _clear_up(self, reply: Reply) -> None:
        """After a refusal the connection is used again, unless the server is closing it."""
        if reply.code == _CLOSING:
            self.close(politely=False)
            return
        try:
            self._command("RSET", "")
        except (Failure, *_FAULTS):
            self.close(politely=False)

    def abort(self) -> None:
        """End it from outside."""
        self._client.abort()

    def close(self, *, politely: bool = True) -> None:
        """End it. What the server has to say to that does not matter."""
        if not self.is_open:
            return
        self.is_open = False
        try:
            if politely:
                self._client.wait_at_most(5)
                self._client.docmd("QUIT")
        except _FAULTS:
            pass
        finally:
            self._client.close()


class Opener:
    """Opens connections: to the first address that can be reached, of the first host that wants to talk."""

    def __init__(self, name: str, timeouts: Timeouts = Timeouts(), context: Context = tls_context) -> None:
        self._name = name
        self._timeouts = timeouts
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
        except _FAULTS as error:
            raise temporary("4.4.1", f"No connection to {host.name}: {error}", host.name) from error
        try:  # whom TLS fails with is no worse than one who does not offer it
            return self._connected(route, host, address, Tls.NONE)
        except _FAULTS as error:
            raise temporary("4.4.1", f"No connection to {host.name}: {error}", host.name) from error

    def _connected(self, route: Route, host: Host, address: str, tls: Tls) -> Session:
        client = Client(host.name, self._name, self._timeouts.connect, lmtp=route.lmtp)
        try:
            context = self._context(tls is Tls.VERIFIED)
            code, text = client.open(address, route.port, context if route.implicit_tls else None)
            client.wait_at_most(self._timeouts.command)
            self._expect(220, code, text, host)
            is_secure = self._introduced(client, host, tls, context) or route.implicit_tls
            self._logged_in(client, host, route, is_secure)
        except BaseException:
            client.close()
            raise
        return Session(client, route, self._timeouts, is_secure=is_secure)

    def _introduced(self, client: Client, host: Host, tls: Tls, context: ssl.SSLContext) -> bool:
        """Say who we are, and have TLS where it is wanted; whether it was begun now."""
        self._hello(client, host)
        if client._implicit or tls is Tls.NONE:
            return False
        if not client.has_extn("starttls"):
            if tls.is_needed:
                raise temporary("4.7.4", "The server offers no TLS, which is required", host.name)
            return False
        try:
            code, text = client.starttls(context=context)
        except _FAULTS as error:
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

    def _expect(self, wanted: int, code: int, text: bytes, host: Host) -> None:
        """A host that does not want to talk to us at all says nothing about the recipient: that is not for good."""
        if code != wanted:
            told = said(code, text, host.name)
            raise Failure(Reply(450, "4.3.0", f"{host.name} does not talk to us: {told}", host.name))

    def _logged_in(self, client: Client, host: Host, route: Route, is_secure: bool) -> None:
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
