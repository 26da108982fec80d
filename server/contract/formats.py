"""The string formats of the contract, each a function that says whether a text has it.

They take what RFC 5321 §4.1.2 allows less quoted local parts and address literals, as clients expect.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from mail.domains import canonical_domain, is_domain

_ATOM = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\U0010ffff]+"
_LABEL = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\-\u0080-\U0010ffff]{0,61}[A-Za-z0-9\u0080-\U0010ffff])?"
_LAST_LABEL = (
    r"[A-Za-z\u0080-\U0010ffff](?:[A-Za-z0-9\-\u0080-\U0010ffff]{0,61}[A-Za-z0-9\u0080-\U0010ffff])?"
)
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LAST_LABEL}")
_HOST_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_NAME_ATOMS = r"[a-z0-9\-]+(?:[._=:][a-z0-9\-]+)*"
_USER_NAME = re.compile(rf"{_NAME_ATOMS}(?:@{_NAME_ATOMS})?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[\x21-\x7e]+")
_TARGET_URI = re.compile(r"(?:smtps?|https?):[\x21-\x7e]+")
_DEEPEST_METADATA = 100
_WHOLE_NUMBER = re.compile(r"-?\d{1,16}")


def is_email_address(text: str) -> bool:
    """Return whether it is `local@domain` with dot-separated atoms, at most 64 bytes and 254 characters.

    RFC 5321 §4.5.3.1.
    """
    local, at, domain = text.rpartition("@")
    return bool(
        at
        and len(text) <= 254
        and len(local.encode()) <= 64
        and _LOCAL_PART.fullmatch(local)
        and _is_named(_DOMAIN, domain)
    )


def is_email_or_wildcard(text: str) -> bool:
    """Return whether it is an address, `user@*`, or has `*` in its local part; then one label is domain enough."""
    if is_email_address(text):
        return True
    local, _, domain = text.rpartition("@")
    if len(text) > 254 or len(local.encode()) > 64 or not _LOCAL_PART.fullmatch(local):
        return False
    return domain == "*" or ("*" in local and is_host_name(domain))


def is_sender_pattern(text: str) -> bool:
    """Return whether it is an address, or a part of one with a `*` at its start or end."""
    if "@" in text and not text.endswith("*"):
        return is_domain(text.rpartition("@")[2])
    return text.startswith("*") or text.endswith("*")


def is_username(text: str) -> bool:
    """Return whether it is a user name: lower-case atoms joined by single `.`, `_`, `=` or `:`, and at most one `@`."""
    _, _, domain = text.partition("@")
    names_domain = "xn--" not in domain or is_domain(domain)
    return len(text) <= 128 and names_domain and bool(_USER_NAME.fullmatch(text))


def is_login_name(text: str) -> bool:
    """Return whether one may log in with it: a user name or an address."""
    return is_username(text.lower()) or is_email_address(text)


def is_ip(text: str) -> bool:
    """Return whether it is an IPv4 or IPv6 address without prefix length or zone."""
    with suppress(ValueError):
        return "%" not in text and bool(ipaddress.ip_address(text))
    return False


def is_uri(text: str) -> bool:
    """Return whether it is an absolute URI (RFC 3986) of printable ASCII."""
    return bool(_URI.fullmatch(text)) and _splits(text)


def _splits(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.port is None or parts.port >= 0
    except ValueError:
        return False


def is_smtp_uri(text: str) -> bool:
    """Return whether it is an SMTP URI that names a host, with or without slashes before it."""
    return text.startswith(("smtp:", "smtps:")) and is_uri(text)


def is_target(text: str) -> bool:
    """Return whether it is a forwarding target: an address, or a URI of SMTP or HTTP; HTTP needs a host."""
    if is_email_address(text):
        return True
    if not _TARGET_URI.fullmatch(text) or not _splits(text):
        return False
    return not text.startswith("http") or bool(urlsplit(text).hostname)


def is_host_name(text: str) -> bool:
    """Return whether it is a host name: labels joined by dots, in ASCII or not."""
    return len(text) <= 253 and _is_named(_HOST_NAME, text)


def _is_named(form: re.Pattern[str], domain: str) -> bool:
    """Return whether the canonical form of a domain has a form, as it is what is stored."""
    return is_domain(domain) and form.fullmatch(canonical_domain(domain)) is not None


def is_host_name_or_any(text: str) -> bool:
    """Return whether it is a host name, or `*` for all hosts without a certificate of their own."""
    return text == "*" or is_host_name(text)


def is_host_name_or_ip(text: str) -> bool:
    """Return whether it is a host name or an IP address."""
    return is_host_name(text) or is_ip(text)


def is_cursor(text: str) -> bool:
    """Return whether it is base64url of JSON. The listing that gets the cursor checks its content."""
    try:
        orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return False
    return True


def is_metadata(text: str) -> bool:
    """Return whether it is the JSON of an object that is not nested too deeply to be written again."""
    try:
        value = orjson.loads(text)
        return isinstance(value, dict) and not is_deeper(value, _DEEPEST_METADATA)
    except ValueError:
        return False


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether lists and objects are nested deeper than that; orjson reads deeper ones than it writes."""
    level = [value]
    for _ in range(levels):
        level = [part for holder in level if isinstance(holder, dict | list) for part in _parts(holder)]
        if not level:
            return False
    return any(isinstance(part, dict | list) for part in level)


def _parts(holder: Mapping[str, Any] | list[Any]) -> Iterable[Any]:
    return holder.values() if isinstance(holder, Mapping) else holder


def is_date(text: str) -> bool:
    """Return whether `read_date` can read it."""
    return read_date(text) is not None


def read_date(text: str) -> datetime | None:
    """ISO 8601, RFC 5322 §3.3, or milliseconds since 1970 as digits; without a zone UTC is meant."""
    text = text.strip()
    with suppress(ValueError, TypeError, OverflowError, OSError):
        return _utc(
            datetime.fromtimestamp(int(text) / 1000, UTC) if _is_milliseconds(text) else _parsed(text)
        )
    return None


def _is_milliseconds(text: str) -> bool:
    return bool(_WHOLE_NUMBER.fullmatch(text)) and len(text) != 8


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)


def _utc(date: datetime) -> datetime:
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "cursor": is_cursor,
    "date-time-input": is_date,
    "email-address": is_email_address,
    "email-or-wildcard": is_email_or_wildcard,
    "host-name": is_host_name,
    "host-name-or-any": is_host_name_or_any,
    "host-name-or-ip": is_host_name_or_ip,
    "ip": is_ip,
    "login-name": is_login_name,
    "metadata": is_metadata,
    "sender-pattern": is_sender_pattern,
    "smtp-uri": is_smtp_uri,
    "target": is_target,
    "uri": is_uri,
    "username": is_username,
}
