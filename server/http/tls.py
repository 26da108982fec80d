"""TLS by the certificates in the database: each connection gets the one for the name that its client asks for.

The name is read from what the client sends first, before the handshake begins, because looking a name up waits for
the database, and OpenSSL's own callback in the middle of a handshake is no place to wait in.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import structlog
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from gevent.monkey import get_original

from problems import summary
from security.secrets import SecretUnreadable
from server.processes.offload import offload
from server.settings.table import Settings, SettingsError
from storage.base.database import DatabaseError
from storage.keys.certs import Certs, Match

_FRESH_SECONDS = 5.0
_MOST_NAMES = 10_000
_MOST_CONTEXTS = 1000
_LARGEST_HELLO = 65_536
_POLL_SECONDS = 0.01
_Context = get_original("ssl", "SSLContext")  # gevent's own calls back for sockets alone

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client said first: the name it asks for, and the answer if nothing here has that name."""

    name: str | None
    refusal: bytes


def make_context(chain: str, key: str) -> ssl.SSLContext:
    """A context that shows a chain of certificates, both in PEM. Raises ValueError.

    OpenSSL takes them from a file alone; the key in it is encrypted with a password that nobody knows later.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    password = secrets.token_hex()
    private = load_pem_private_key(key.encode(), None)
    hidden = private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode())
    )
    with tempfile.NamedTemporaryFile(prefix="mallard-", suffix=".pem") as file:
        file.write(hidden + chain.encode())
        file.flush()
        try:
            context.load_cert_chain(file.name, password=password)
        except ssl.SSLError as error:
            raise ValueError(f"OpenSSL does not take it: {error.reason}") from error
    return context


def default_context(settings: Settings) -> ssl.SSLContext | None:
    """The context of MALLARD_TLS_CERTIFICATE for all names that have nothing. Raises SettingsError."""
    if not settings.tls_certificate:
        return None
    try:
        chain, key = (
            Path(path).expanduser().read_text("ascii")
            for path in (settings.tls_certificate, settings.tls_key)
        )
        return make_context(chain, key)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"MALLARD_TLS_CERTIFICATE and MALLARD_TLS_KEY cannot be used: {error}") from error


class Contexts:
    """Contexts by name. A name is looked up again after five seconds, so that a change is soon in force."""

    def __init__(
        self, certs: Certs, default: ssl.SSLContext | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._certs = certs
        self._default = default
        self._clock = clock
        self._matches: OrderedDict[str, tuple[Match | None, float]] = OrderedDict()
        self._contexts: OrderedDict[Match, ssl.SSLContext | None] = OrderedDict()
        self._making = threading.Lock()

    def for_name(self, name: str | None) -> ssl.SSLContext | None:
        """The context for a name, else the default one; None where there is neither."""
        try:
            match = self._match(name) if name else None
            return (self._context(match) if match else None) or self._default
        except DatabaseError as error:
            log.error("the certificate of a name cannot be read", name=name, reason=summary(error))
            return self._default

    def _match(self, name: str) -> Match | None:
        known = self._matches.get(name)
        if known and self._clock() - known[1] < _FRESH_SECONDS:
            return known[0]
        try:
            match = self._certs.for_name(name)
        except DatabaseError:
            if known is None:
                raise
            return known[0]
        _keep(self._matches, name, (match, self._clock()), _MOST_NAMES)
        return match

    def _context(self, match: Match) -> ssl.SSLContext | None:
        if match not in self._contexts:
            with self._making:
                if match not in self._contexts:
                    _keep(self._contexts, match, self._make(match), _MOST_CONTEXTS)
        return self._contexts.get(match)

    def _make(self, match: Match) -> ssl.SSLContext | None:
        """None for an entry that cannot be used; the listener goes on, and the log says which one it is."""
        try:
            cert = self._certs.load(match)
            key = offload(self._certs.keys.decrypt, cert.sealed_key) if cert else ""
            return make_context(cert.chain, key) if cert else None
        except (SecretUnreadable, ValueError, TypeError) as error:
            log.error("a certificate cannot be used", id=str(match.id), reason=str(error))
            return None


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any, limit: int) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > limit:
        cache.popitem(last=False)


def wrap_socket(contexts: Contexts, client: socket.socket) -> ssl.SSLSocket:
    """Do the handshake with a client. Raises OSError, which every fault of TLS is one of."""
    hello = _wait_for_hello(client)
    context = contexts.for_name(hello.name)
    if context is None:
        client.sendall(hello.refusal)
        raise ConnectionAbortedError(
            f"there is no certificate for {hello.name or 'a client that names nothing'}"
        )
    return context.wrap_socket(client, server_side=True)


def _wait_for_hello(client: socket.socket) -> Hello:
    """Looks at the bytes and leaves them to the handshake. They may come in several parts."""
    seen = 0
    while True:
        data = client.recv(_LARGEST_HELLO, socket.MSG_PEEK)
        if not data:
            raise ConnectionAbortedError("the client left")
        if len(data) > seen and (hello := read_hello(data)):
            return hello
        if len(data) == _LARGEST_HELLO:
            raise ConnectionAbortedError("the client does not begin a handshake")
        seen = len(data)
        gevent.sleep(_POLL_SECONDS)


def read_hello(data: bytes) -> Hello | None:
    """What OpenSSL makes of a client's first bytes; None if there have to be more."""
    names: list[str | None] = []

    def refuse(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int:
        names.append(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = refuse
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(data)
    try:
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        return None
    except ssl.SSLError:
        return Hello(names[0] if names else None, outgoing.read())
    return None
