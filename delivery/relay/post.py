"""A message → an HTTP target, as a POST of its source (`message/rfc822`) with the envelope in `Mail-…` fields.

Whoever forwards there chose the URL, so it is not trusted: see `network.post`.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from urllib.parse import quote, urlsplit

from delivery.relay.hosts import Hosts
from delivery.relay.message import Message
from delivery.relay.replies import Failure, Reply, permanent, temporary
from network import post

_CONNECT_SECONDS, _TOTAL_SECONDS = 20.0, 60.0
_PASSING = frozenset({408, 409, 423, 425, 429})
_SAFE = "@!#$%&'*+-/=?^_`{|}~."


class Poster:
    """Sends messages to HTTP targets."""

    def __init__(
        self, hosts: Hosts, tls: ssl.SSLContext | None = None, *, seconds: float = _TOTAL_SECONDS
    ) -> None:
        self._poster = post.Poster(
            lambda name: hosts.named(name).addresses,
            tls=tls,
            connect_seconds=_CONNECT_SECONDS,
            total_seconds=seconds,
        )

    def send(self, url: str, recipient: str, message: Message) -> Reply:
        """The answer as a reply of SMTP: 2xx is success, 5xx and what may pass temporary. Raises Failure."""
        host = _host(url)
        try:
            status = self._poster.post(url, message.content, _fields(recipient, message))
        except post.PostFailed as error:
            raise temporary("4.4.1", f"The HTTP target does not answer: {error}", host) from error
        return _reply(status, host)


def _host(url: str) -> str:
    with suppress(ValueError):  # as of a broken IPv6 address
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts.hostname
    raise permanent("5.1.3", "The target is no http:// or https:// address")


def _fields(recipient: str, message: Message) -> dict[str, str]:
    return {
        "Content-Type": "message/rfc822",
        "User-Agent": "Mallard",
        "Mail-From": quote(message.sender, safe=_SAFE),
        "Mail-To": quote(recipient, safe=_SAFE),
        "Mail-Queue-Id": message.queue_id,
    }


def _reply(status: int, host: str) -> Reply:
    text = f"HTTP {status}"
    if 200 <= status < 300:
        return Reply(250, "2.0.0", text, host)
    if status >= 500 or status in _PASSING:
        raise temporary("4.3.0", text, host)
    if 300 <= status < 400:
        raise Failure(Reply(550, "5.3.0", f"{text}: redirects are not followed", host))
    raise Failure(Reply(550, "5.3.0", text, host))
