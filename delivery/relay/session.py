"""One connection to a server: the SMTP client with its limits, and the transactions that go over it."""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from delivery.relay.message import Message, is_path
from delivery.relay.replies import Failure, Reply, permanent, said, temporary
from delivery.relay.routes import Route

FAULTS = (OSError, smtplib.SMTPException, ValueError)
_CLOSING = 421
_MOST_REPLY_LINES = 200
_LONGEST_REPLY_LINE = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds: to connect, for each command, and for the reply to a whole message (RFC 5321 §4.5.3.2)."""

    connect: float = 30.0
    command: float = 120.0
    content: float = 600.0


class Client(smtplib.SMTP):
    """An SMTP or LMTP client. TLS is with `name`, the connection with the address that `connect` is given."""

    def __init__(self, name: str, greeting_name: str, timeout: float, *, lmtp: bool = False) -> None:
        super().__init__(local_hostname=greeting_name, timeout=timeout)
        self._host = name
        self._lmtp = lmtp
        self._implicit: ssl.SSLContext | None = None
        if lmtp:
            self.ehlo_msg = "lhlo"

    def open(self, address: str, port: int, implicit: ssl.SSLContext | None) -> tuple[int, bytes]:
        """Connect; with a context, TLS comes first. The greeting. Raises OSError, SMTPException."""
        self._implicit = implicit
        return self.connect(address, port)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._implicit:
            return plain
        try:
            return self._implicit.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    def getreply(self) -> tuple[int, bytes]:
        """As the library's, but no server can go on and on."""
        lines: list[bytes] = []
        while len(lines) < _MOST_REPLY_LINES:
            line = self._line()
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                code = int(line[:3]) if line[:3].isdigit() else -1
                return code, b"\n".join(lines)
        self.close()
        raise smtplib.SMTPServerDisconnected("The reply has no end")

    def _line(self) -> bytes:
        if self.file is None:
            assert self.sock
            self.file: Any = self.sock.makefile("rb")
        try:
            line: bytes = self.file.readline(_LONGEST_REPLY_LINE + 1)
        except OSError as error:
            self.close()
            raise smtplib.SMTPServerDisconnected(f"Connection lost: {error}") from error
        if not line or len(line) > _LONGEST_REPLY_LINE:
            self.close()
            raise smtplib.SMTPServerDisconnected("Connection lost" if not line else "The reply is too long")
        return line

    def wait_at_most(self, seconds: float) -> None:
        """How long each further step may take."""
        if self.sock:
            self.sock.settimeout(seconds)

    def abort(self) -> None:
        """End the connection from outside; whoever waits for it gets an error."""
        sock = self.sock
        if sock:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it had ended already


class Stale(Exception):
    """A connection that was kept is gone; nothing of the message was sent over it."""


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
        except FAULTS as error:
            self.close(politely=False)
            raise temporary("4.4.2", f"The connection was lost: {error}", self.host) from error
        self.count += 1
        return reply

    def _transaction(self, sender: str, recipient: str, message: Message) -> Reply:
        mail = f"FROM:<{sender}>{self._parameters(sender, recipient, message)}"
        self._client.wait_at_most(self._timeouts.command)
        try:
            self._command("MAIL", mail)
        except (Failure, *FAULTS) as error:
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
        except (Failure, *FAULTS):
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
        except FAULTS:
            pass
        finally:
            self._client.close()
