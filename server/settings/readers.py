"""Readers of settings: each makes a typed value of a text or a TOML value.

All raise ValueError with the end of a sentence that begins with the name of the setting.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from delivery.inbound.received import ReceivedForm

_SWITCH = {
    **dict.fromkeys(("on", "true", "yes", "1"), True),
    **dict.fromkeys(("off", "false", "no", "0"), False),
}


def switch(value: Any) -> bool:
    """Return whether it is on: `on`, `true`, `yes`, `1`, or their opposites."""
    meaning = _SWITCH.get(str(value).lower())
    if meaning is None:
        raise ValueError("is neither `on` nor `off`")
    return meaning


def whole_number(minimum: int, *, maximum: int | None = None) -> Callable[[Any], int]:
    """Return a reader of whole numbers within these limits, both allowed."""

    def read(value: Any) -> int:
        number = int(value)
        if number < minimum:
            raise ValueError(f"is less than {minimum}")
        if maximum is not None and number > maximum:
            raise ValueError(f"is more than {maximum}")
        return number

    return read


def choice(*choices: str) -> Callable[[Any], str]:
    """Return a reader of one of these words."""

    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return str(value)

    return read


def host_and_port(value: Any) -> str:
    """Read `host:port`; an IPv6 address stands in brackets."""
    host, colon, port = str(value).rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("is not host:port, like 127.0.0.1:8080 or [::1]:8080")
    return str(value)


def host_and_port_or_none(value: Any) -> str:
    """Read `host:port`, or the empty text for nowhere."""
    return host_and_port(value) if value else ""


def networks(value: Any) -> tuple[str, ...]:
    """Read IP addresses and networks in CIDR notation, separated by blanks or commas."""
    return tuple(str(ipaddress.ip_network(word)) for word in words(value))


def received_form(value: Any) -> str:
    """Read the name of an MTA, or a regular expression for its Received field."""
    try:
        ReceivedForm(str(value))
    except (re.error, ValueError) as error:
        raise ValueError(f"is neither a known MTA nor a regular expression: {error}") from error
    return str(value)


def http_url(value: Any) -> str:
    """Read the URL of an HTTP service."""
    parts = urlsplit(str(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no http:// or https:// address")
    return str(value)


def service(scheme: str) -> Callable[[Any], str]:
    """Return a reader of `scheme://host:port`, or `schemes://…` for TLS from the start."""

    def read(value: Any) -> str:
        parts = urlsplit(str(value))
        if parts.scheme not in (scheme, f"{scheme}s") or not parts.hostname or not parts.port:
            raise ValueError(f"is not {scheme}s://host:port, or {scheme}://host:port for no TLS at first")
        return str(value)

    return read


def words(value: Any) -> tuple[str, ...]:
    """Read words: a list in the file, separated by blanks or commas in the environment."""
    return tuple(value) if isinstance(value, list) else tuple(str(value).replace(",", " ").split())


def some_of(*choices: str) -> Callable[[Any], tuple[str, ...]]:
    """Return a reader of some of these words; `none` stands for none of them."""

    def read(value: Any) -> tuple[str, ...]:
        chosen = words(value)
        if chosen == ("none",):
            return ()
        if unknown := set(chosen) - set(choices):
            raise ValueError(f"has {', '.join(sorted(unknown))}, which is none of {', '.join(choices)}")
        return chosen

    return read


def lines(value: Any) -> tuple[str, ...]:
    """Read texts that may have blanks: a list in the file, lines in the environment."""
    return tuple(filter(None, value if isinstance(value, list) else str(value).splitlines()))
