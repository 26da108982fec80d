"""A POST to a URL that a stranger chose, guarded against SSRF (`network.ssrf_guard`).

The address that is connected to is the very one that was checked: a name that resolves to another address a moment
later gains nothing. Redirects are not followed, settings for proxies are not read, and nothing outlasts the deadline,
however slowly the other side sends. The last is why no library does it: theirs bound each read, and keep the socket
to themselves until the answer has begun.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from urllib.parse import SplitResult, unquote, urlsplit

from network.ssrf_guard import Find, public_addresses

_CONNECT_SECONDS, _TOTAL_SECONDS = 10.0, 30.0
_PORTS = {"http": 80, "https": 443}
_READ_AT_MOST = 65_536


class PostFailed(Exception):
    """There is no answer; the text says why."""


class Poster:
    """Sends bodies to where `find` says that a host is; a TLS certificate must be valid and of that host."""

    def __init__(
        self,
        find: Find = public_addresses,
        *,
        tls: ssl.SSLContext | None = None,
        connect_seconds: float = _CONNECT_SECONDS,
        total_seconds: float = _TOTAL_SECONDS,
    ) -> None:
        self._find = find
        self._tls = tls or ssl.create_default_context()
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. Raises PostFailed, and what `find` raises if that is no OSError."""
        until = time.monotonic() + self._total_seconds
        try:
            parts = urlsplit(url)
            with closing(self._connected(parts, until)) as sock, _deadline(sock, until):
                if isinstance(sock, ssl.SSLSocket):
                    sock.do_handshake()
                return _exchange(sock, parts, body, headers, until)
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = time.monotonic() >= until
            raise PostFailed("No answer in time" if late else _reason(error)) from error

    def _connected(self, parts: SplitResult, until: float) -> socket.socket:
        """A socket to the first address that takes it; the handshake of TLS is still to be done."""
        host, port = parts.hostname or "", _port(parts)
        failure: OSError = TimeoutError("timed out")
        for address in self._find(host):
            left = min(self._connect_seconds, until - time.monotonic())
            if left <= 0:
                break
            try:
                sock = socket.create_connection((address, port), left)
            except OSError as error:
                failure = error
            else:
                sock.settimeout(self._total_seconds)
                return self._wrapped(sock, host) if parts.scheme == "https" else sock
        raise failure

    def _wrapped(self, sock: socket.socket, host: str) -> ssl.SSLSocket:
        try:
            return self._tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        except ValueError:  # the host's name is none
            sock.close()
            raise


@contextmanager
def _deadline(sock: socket.socket, until: float) -> Iterator[None]:
    """Ends both directions of a connection at the deadline; a time-out of each read alone would let drops pass.

    Set on the plain socket: setting it on a TLS one would lose that one's state while somebody reads from it.
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


def _exchange(
    sock: socket.socket, parts: SplitResult, body: bytes, headers: Mapping[str, str], until: float
) -> int:
    connection = http.client.HTTPConnection(parts.hostname or "", _port(parts))
    connection.sock = sock
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = {"Host": parts.netloc.rpartition("@")[2], "Connection": "close", **_credentials(parts)}
    connection.request("POST", path, body, {**own, **headers})
    with closing(connection), connection.getresponse() as response:
        if time.monotonic() >= until:  # what was cut off may look like a shorter answer
            raise TimeoutError
        # What it says is of no interest, and it took the body; reading spares a polite one a broken connection.
        with suppress(OSError, http.client.HTTPException):
            response.read(_READ_AT_MOST)
        return response.status


def _port(parts: SplitResult) -> int:
    if parts.scheme not in _PORTS:
        raise ValueError(f"{parts.scheme}:// is not HTTP")
    return parts.port or _PORTS[parts.scheme]


def _credentials(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}"
