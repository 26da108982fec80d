"""Names → addresses to connect to: the mail exchangers of a domain, or a host that is named outright.

An address of this machine or of a private network is none that mail may be sent to, unless the settings allow it:
whoever owns a domain says what it resolves to. What is connected to is the very address that was looked at.
"""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from delivery.relay.replies import permanent, temporary
from mail.domains import InvalidDomain, ascii_domain, canonical_domain
from network.dns import Dns, DnsFault
from network.ssrf_guard import addresses_of
from security.targets import is_public

Resolve = Callable[[str], list[str]]
Shuffle = Callable[[list[str]], None]

_MOST_HOSTS = 10


@dataclass(frozen=True, slots=True)
class Host:
    """A name, and addresses that may be connected to, IPv4 first as it is better connected."""

    name: str
    addresses: tuple[str, ...]


def system_addresses(name: str) -> list[str]:
    """The addresses of a name as this machine knows it, from its hosts file or the DNS. Raises DnsFault."""
    try:
        return addresses_of(name)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return []
        raise DnsFault(f"{name}: {error}") from error
    except UnicodeError:
        return []


class Hosts:
    """Finds where to connect to. `dns` answers for domains, `resolve` for hosts that are named by people."""

    def __init__(
        self,
        dns: Dns,
        resolve: Resolve = system_addresses,
        *,
        allow_private: bool = False,
        shuffle: Shuffle = random.shuffle,
    ) -> None:
        self._dns = dns
        self._resolve = resolve
        self._allow_private = allow_private
        self._shuffle = shuffle

    def of_domain(self, domain: str) -> list[Host]:
        """The hosts that take mail for a domain or an address literal, the preferred first (RFC 5321 §5.1).

        Raises Failure where none exists, none may be connected to, or the DNS does not answer.
        """
        if literal := _literal(domain):
            return [self._permitted(Host(domain, (literal,)))]
        name = _ascii(domain)
        try:
            return self._of_name(name)
        except DnsFault as fault:
            raise temporary("4.4.3", f"The DNS does not answer: {fault}") from fault

    def _of_name(self, name: str) -> list[Host]:
        records = sorted(filter(None, map(_exchange, self._dns.lookup(name, "MX"))))
        if any(exchange == "" for _, exchange in records):
            raise permanent("5.1.10", f"The domain {name} does not take mail (null MX)")  # RFC 7505
        names = list(self._in_order(records)) or [name]
        hosts = [host for host in map(self._looked_up, names[:_MOST_HOSTS]) if host.addresses]
        if hosts:
            return self._all_permitted(hosts)
        if records:
            raise temporary("4.4.4", f"No mail exchanger of {name} has an address")
        raise permanent("5.1.2", f"The domain {name} does not exist or takes no mail")

    def _in_order(self, records: Iterable[tuple[int, str]]) -> Iterator[str]:
        """By preference, hosts of equal preference in random order."""
        for _, same in groupby(records, key=lambda record: record[0]):
            names = [exchange for _, exchange in same]
            self._shuffle(names)
            yield from names

    def _looked_up(self, name: str) -> Host:
        if _is_address(name):
            return Host(name, (name,))
        return Host(name, tuple(self._dns.lookup(name, "A") + self._dns.lookup(name, "AAAA")))

    def named(self, name: str, *, trusted: bool = False) -> Host:
        """A host that is named outright; a `trusted` one, from the settings, may be anywhere. Raises Failure."""
        if _is_address(name):
            host = Host(name, (name,))
        else:
            try:
                found = sorted(self._resolve(name), key=lambda address: ":" in address)
            except DnsFault as fault:
                raise temporary("4.4.3", f"The DNS does not answer: {fault}") from fault
            if not found:
                raise temporary("4.4.4", f"The host {name} has no address")
            host = Host(name, tuple(found))
        return host if trusted else self._permitted(host)

    def _all_permitted(self, hosts: list[Host]) -> list[Host]:
        if self._allow_private:
            return hosts
        kept = [Host(host.name, tuple(filter(is_public, host.addresses))) for host in hosts]
        kept = [host for host in kept if host.addresses]
        if not kept:
            raise permanent("5.7.1", f"The address of {hosts[0].name} is private; no mail is sent there")
        return kept

    def _permitted(self, host: Host) -> Host:
        return self._all_permitted([host])[0]


def _exchange(record: str) -> tuple[int, str] | None:
    """`10 mx.example.com.` as preference and name; the name of a null MX is empty."""
    preference, _, name = record.partition(" ")
    return (int(preference), name.strip().rstrip(".").lower()) if preference.isdigit() else None


def _ascii(domain: str) -> str:
    if domain.isascii():
        return domain.lower()
    try:
        return ascii_domain(canonical_domain(domain))
    except InvalidDomain as error:
        raise permanent("5.1.2", f"{domain} is no domain") from error


def _literal(domain: str) -> str:
    """The address in `192.0.2.1`, `IPv6:2001:db8::1` or the same in brackets, empty if it is a name."""
    text = domain.strip("[]")
    text = text[5:] if text.lower().startswith("ipv6:") else text
    return text if _is_address(text) else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
