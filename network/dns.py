"""Questions to the DNS, behind an interface so that tests need no network."""

from __future__ import annotations

from typing import Protocol

import dns.exception
import dns.resolver

_SECONDS = 5.0


class DnsFault(Exception):
    """The DNS gave no answer now; it may later."""


class Dns(Protocol):
    """Answers questions by name and type; no such name and no such record are both an empty list."""

    def lookup(self, name: str, kind: str) -> list[str]:
        """The records of a type as text, TXT with its strings joined, MX as `10 mx.example.com.`. Raises DnsFault."""


class SystemDns:
    """The resolver of this machine, which caches what it hears as long as it may."""

    def __init__(self) -> None:
        self._resolver = dns.resolver.Resolver()
        self._resolver.cache = dns.resolver.LRUCache(10_000)
        self._resolver.lifetime = _SECONDS

    def lookup(self, name: str, kind: str) -> list[str]:
        """See Dns."""
        try:
            answer = self._resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise DnsFault(f"{kind} of {name}: {error}") from error
        if kind == "TXT":
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text() for record in answer]
