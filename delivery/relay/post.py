"""A message → an HTTP target, as a POST of its source (`message/rfc822`) with the envelope in `Mail-…` fields.

Whoever forwards there chose the URL, so it is not trusted: the address is looked at and that very address connected
to, redirects are not followed, time and the answer's size have limits.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import SplitResult, quote, unquote, urlsplit

from delivery.relay.hosts import Hosts
from delivery.relay.message import Message
from delivery.relay.replies import Failure, Reply, permanent, temporary

_STEP_SECONDS = 20.0
_TOTAL_SECONDS = 60.0
_MOST_BYTES = 65_536
_PASSING = frozenset({408, 409, 423, 425, 429})
_FAULTS = (OSError, http.client.HTTPException, ValueError)
_SAFE = "@!#$%&'*+-/=?^_`{|}~."

Context = Callable[[], ssl.SSLContext]


class Poster:
    """Sends messages to HTTP targets; a TLS certificate must be valid."""

    def __init__(
        self, hosts: Hosts, context: Context = ssl.create_default_context, *, seconds: float = _TOTAL_SECONDS
    ) -> None:
        self._hosts = hosts
        self._context = context
        self._seconds = seconds

    def send(self, url: str, recipient: str, message: Message) -> Reply:
        """The answer as a reply of SMTP: 2xx is success, 5xx and what may pass temporary. Raises Failure."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise permanent("5.1.3", "The target is no http:// or https:// address")
        host = self._hosts.named(parts.hostname)
        try:
            return _reply(self._status(parts, host.addresses[0], recipient, message), host.name)
        except _FAULTS as error:
            raise temporary("4.4.1", f"The HTTP target does not answer: {error}", host.name) from error

    def _status(self, url: SplitResult, address: str, recipient: str, message: Message) -> int:
        """The status of the answer. At the end of its time the connection is cut, whatever it is doing."""
        connection = _Connection(url, address, self._context() if url.scheme == "https" else None)
        timer = threading.Timer(self._seconds, connection.cut)
        timer.daemon = True
        timer.start()
        try:
            connection.request("POST", _target(url), message.content, _fields(url, recipient, message))
            response = connection.getresponse()
            response.read(_MOST_BYTES)  # the other side sees that it was heard
            return response.status
        finally:
            timer.cancel()
            connection.close()


class _Connection(http.client.HTTPConnection):
    """A connection to a given address; with a context, in TLS under the name of the URL."""

    def __init__(self, url: SplitResult, address: str, context: ssl.SSLContext | None) -> None:
        port = url.port or (443 if context else 80)
        super().__init__(url.hostname or "", port, timeout=_STEP_SECONDS)
        self._address = address
        self._context = context

    def connect(self) -> None:
        """Connect to the address that was looked at."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._context:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End it from outside; whoever waits for it gets an error."""
        with suppress(OSError, AttributeError):  # it may be over, or not have begun
            self.sock.shutdown(socket.SHUT_RDWR)


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _fields(url: SplitResult, recipient: str, message: Message) -> dict[str, str]:
    fields = {
        "Content-Type": "message/rfc822",
        "User-Agent": "Mallard",
        "Connection": "close",
        "Mail-From": quote(message.sender, safe=_SAFE),
        "Mail-To": quote(recipient, safe=_SAFE),
        "Mail-Queue-Id": message.queue_id,
    }
    if url.username:
        login = f"{unquote(url.username)}:{unquote(url.password or '')}"
        fields["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    return fields


def _reply(status: int, host: str) -> Reply:
    text = f"HTTP {status}"
    if 200 <= status < 300:
        return Reply(250, "2.0.0", text, host)
    if status >= 500 or status in _PASSING:
        raise temporary("4.3.0", text, host)
    if 300 <= status < 400:
        raise Failure(Reply(550, "5.3.0", f"{text}: redirects are not followed", host))
    raise Failure(Reply(550, "5.3.0", text, host))
