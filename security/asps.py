"""Application passwords as values: 16 letters, the scopes that they open, and how they are recognised."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Iterable

SCOPES = ("imap", "pop3", "smtp")
ALL = "*"
LENGTH = 16
_FEWEST_LETTERS = 5
_SHAPE = re.compile(r"[a-z]{16}")
_BUCKETS = 32


def new_asp() -> str:
    """16 letters, each drawn evenly from `a` to `z`: 75 bits."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(LENGTH))


def is_weak(password: str) -> bool:
    """Return whether a password chosen by the caller has so few different letters that it is easily guessed."""
    return len(set(password)) < _FEWEST_LETTERS


def as_asp(given: str) -> str | None:
    """The application password that a person typed, in groups and capitals perhaps; None if it can be none."""
    letters = "".join(given.split()).lower()
    return letters if _SHAPE.fullmatch(letters) else None


def selector(password: str) -> str:
    """A mark of five bits, which saves comparing a password with most hashes of others."""
    return f"{sum(hashlib.sha1(password.encode(), usedforsecurity=False).digest()) % _BUCKETS:x}"


def stored_scopes(given: Iterable[str]) -> list[str]:
    """Scopes as they are stored: sorted, once each, and `*` for all of them."""
    scopes = set(given)
    return [ALL] if ALL in scopes or scopes == set(SCOPES) else sorted(scopes)


def shown_scopes(stored: Iterable[str]) -> list[str]:
    """Scopes as the API shows them: by name."""
    scopes = list(stored)
    return list(SCOPES) if ALL in scopes else scopes


def opens(stored: Iterable[str], scope: str) -> bool:
    """Return whether a password with these scopes opens `scope`."""
    return scope in shown_scopes(stored)
