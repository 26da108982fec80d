"""Forwarding targets as they are compared and shown, and which addresses on the network they may have."""

from __future__ import annotations

import ipaddress
import re

from security.normalize import domain_of, normalize_address

_PASSWORD = re.compile(r"\A([A-Za-z][A-Za-z0-9+.\-]*:(?://)?[^/?#:]*):([^/?#]*)@")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052; the last 32 bits are an IPv4 address


def same_target(value: str) -> str:
    """The form in which equal targets are equal: of an address its normal form, else the text itself."""
    normal = "" if ":" in value else normalize_address(value)
    return normal if domain_of(normal) else value


def without_password(value: str) -> str:
    """A target fit to be shown and logged: the password of a URL is masked."""
    return _PASSWORD.sub(r"\1:***@", value)


def is_public(address: str) -> bool:
    """Return whether an IP address is public: not of this machine or a private network.

    IPv6 addresses that stand for an IPv4 address are judged by that.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
        if int(found) < 1 << 32:  # the deprecated ::a.b.c.d
            return False
    return found.is_global and not found.is_multicast
