"""Where a message goes on to: addresses, other servers, HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from mail.compose import ascii_address
from storage.accounts.documents import Target
from storage.addresses.documents import Owner
from storage.base.database import Document
from storage.queue.outbound import Delivery, relay_options

_DEFAULT_PORT = 25


def relay_of(user: Owner) -> Document:
    """The fields of an account's own relay, which all its mail goes through."""
    relay: Any = user.get("mtaRelay")
    return server_of(relay["value"]) if relay else {}


def server_of(url: str) -> Document:
    """The queue fields of a server given as `smtp://user:password@host:port`."""
    parts = urlsplit(url)
    login = (
        {"user": unquote(parts.username), "pass": unquote(parts.password or "")} if parts.username else None
    )
    port = str(parts.port) if parts.port else _DEFAULT_PORT
    return relay_options(parts.hostname or "", port, login, secure=parts.scheme == "smtps")


def deliveries(
    targets: Sequence[Target], recipients: Sequence[str], user: Owner
) -> list[tuple[Target, Delivery]]:
    """Each delivery with its target. A server and an HTTP target get the message for its original recipients."""
    return [(target, delivery) for target in targets for delivery in _deliveries(target, recipients, user)]


def _deliveries(target: Target, recipients: Sequence[str], user: Owner) -> Iterator[Delivery]:
    value = target["value"]
    if target["type"] == "mail":
        yield Delivery(ascii_address(value), relay_of(user))
        return
    for recipient in dict.fromkeys(recipients):
        if target["type"] == "relay":
            yield Delivery(recipient, server_of(value))
        else:
            yield Delivery(recipient, {"http": True, "targetUrl": value, "skipSRS": True, "skipSTS": True})
