"""A POST to a URL that a stranger chose.

The address that is connected to is the very one that was looked at: a name that resolves to another address a moment
later gains nothing. Redirects are not followed, settings for proxies are not read, and nothing outlasts the deadline,
however slowly the other side sends.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from urllib.parse import SplitResult, unquote, urlsplit

from security.targets import is_public

CONNECT_SECONDS, TOTAL_SECONDS = 10.0, 30.0
_PORTS = {"http": 80, "https": 443}
_READ_AT_MOST = 65_536

Resolve = Callable[[str, int], Sequence[str]]


class PostFailed(Exception):
    """There is no answer, for a reason that the text tells."""


def system_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, by hosts file and DNS. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Poster:
    """Sends bodies; with `allow_private` also to this machine and to private networks."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        resolve: Resolve = system_addresses,
        tls: ssl.SSLContext | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. Raises PostFailed."""
        until = time.monotonic() + self._total_seconds
        try:
            parts = urlsplit(url)
            with self._connected(parts, until) as sock, _deadline(sock, until):
                return _exchange(sock, parts, body, headers, until)
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = time.monotonic() >= until
            raise PostFailed("No answer in time" if late else _reason(error)) from error

    @contextmanager
    def _connected(self, parts: SplitResult, until: float) -> Iterator[socket.socket]:
        host, port = parts.hostname or "", _port(parts)
        sock = self._connect(self._addresses(host, port), port, until)
        try:
            sock.settimeout(max(until - time.monotonic(), 0.1))
            if parts.scheme == "https":
                sock = self._tls.wrap_socket(sock, server_hostname=host)
            yield sock
        finally:
            sock.close()

    def _addresses(self, host: str, port: int) -> list[str]:
        found = self._resolve(host, port)
        kept = [address for address in found if self._allow_private or is_public(address)]
        if not kept:
            raise PostFailed(f"{host} has no public address, and no event is sent to a private one")
        return kept

    def _connect(self, addresses: Sequence[str], port: int, until: float) -> socket.socket:
        failure: OSError = TimeoutError("timed out")
        for address in addresses:
            left = min(self._connect_seconds, until - time.monotonic())
            if left <= 0:
                break
            try:
                return socket.create_connection((address, port), left)
            except OSError as error:
                failure = error
        raise failure


def _exchange(
    sock: socket.socket, parts: SplitResult, body: bytes, headers: Mapping[str, str], until: float
) -> int:
    connection = http.client.HTTPConnection(parts.hostname or "", _port(parts))
    connection.sock = sock
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
    own = {"Host": _host(parts), "Content-Length": str(len(body)), "Connection": "close"}
    for name, value in {**own, **_credentials(parts), **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    with closing(connection), connection.getresponse() as response:
        if time.monotonic() >= until:  # what was cut off may look like a shorter answer
            raise TimeoutError
        # What it says is of no interest, and it took the event; reading spares a polite one a broken connection.
        with suppress(OSError, http.client.HTTPException):
            response.read(_READ_AT_MOST)
        return response.status


def _port(parts: SplitResult) -> int:
    if parts.scheme not in _PORTS:
        raise ValueError(f"{parts.scheme}:// is not HTTP")
    return parts.port or _PORTS[parts.scheme]


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _credentials(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


@contextmanager
def _deadline(sock: socket.socket, until: float) -> Iterator[None]:
    """Ends both directions of a connection at the deadline; a time-out of each read alone would let drops pass.

    That of the plain socket: a TLS one would forget its state under the hands of whoever reads from it.
    """

    def end() -> None:
        with suppress(OSError):  # where it has ended by itself
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(max(until - time.monotonic(), 0), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
