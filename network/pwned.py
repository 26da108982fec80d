"""Whether a password is known from breaches, asked without telling it: only five digits of its hash leave us."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.request import urlopen

API = "https://api.pwnedpasswords.com/range/"
_SECONDS = 1.0

Fetch = Callable[[str], str]


def fetch_range(prefix: str, api: str = API) -> str:
    """The lines `SUFFIX:COUNT` of the service; none where it knows no such hash. Raises OSError."""
    try:
        with urlopen(api + prefix, timeout=_SECONDS) as response:
            return str(response.read(1_000_000).decode("ascii", "replace"))
    except HTTPError as error:
        with error:
            if error.code == HTTPStatus.NOT_FOUND:
                return ""
            raise


def is_pwned(password: str, fetch: Fetch = fetch_range) -> bool:
    """Return whether the service knows the password. Raises OSError if the service cannot be reached."""
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
    lines = (line.partition(":") for line in fetch(digest[:5]).splitlines())
    return any(
        suffix.strip().upper() == digest[5:] and count.strip() not in ("", "0") for suffix, _, count in lines
    )


def asker(api: str) -> Callable[[str], bool]:
    """`is_pwned` of the service at another address, to which five digits are added."""
    return partial(is_pwned, fetch=partial(fetch_range, api=api))
