"""SSRF guard: which addresses may be connected to for a URL or host that a stranger chose.

Callers connect to the very addresses that were checked, so that a name cannot resolve to a private one afterwards.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from security.targets import is_public

Find = Callable[[str], Sequence[str]]


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host as this machine knows it, by hosts file and DNS. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def public_addresses(host: str, find: Find = addresses_of) -> list[str]:
    """Return the addresses that are not of this machine or a private network. Raises OSError, also if none is left."""
    found = list(filter(is_public, find(host)))
    if not found:
        raise PermissionError(f"{host} has no public address, and nothing is sent to a private one")
    return found
