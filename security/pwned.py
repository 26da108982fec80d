"""Whether a password is known from breaches, asked without telling it: only five digits of its hash leave us."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from urllib.request import urlopen

API = "https://api.pwnedpasswords.com/range/"
_SECONDS = 1.0

Fetch = Callable[[str], str]


def fetch_range(prefix: str) -> str:
    """The lines `SUFFIX:COUNT` of the service. Raises OSError."""
    with urlopen(API + prefix, timeout=_SECONDS) as response:
        return str(response.read(1_000_000).decode("ascii", "replace"))


def is_pwned(password: str, fetch: Fetch = fetch_range) -> bool:
    """Whether the service knows the password. Raises OSError where it can not be asked."""
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
    lines = (line.partition(":") for line in fetch(digest[:5]).splitlines())
    return any(
        suffix.strip().upper() == digest[5:] and count.strip() not in ("", "0") for suffix, _, count in lines
    )
