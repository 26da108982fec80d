"""Forwarding targets as they are compared and shown."""

from __future__ import annotations

import re

from security.normalise import normalise_address

_PASSWORD = re.compile(r"\A([A-Za-z][A-Za-z0-9+.\-]*:(?://)?[^/?#:]*):([^/?#]*)@")


def same_target(value: str) -> str:
    """The form in which equal targets are equal: of an address its normal form, else the text itself."""
    return value if ":" in value else normalise_address(value)


def without_password(value: str) -> str:
    """A target fit to be shown and logged: the password of a URL is masked."""
    return _PASSWORD.sub(r"\1:***@", value)
