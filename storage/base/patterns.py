"""Patterns for what people look for, which is text and no pattern."""

from __future__ import annotations

import re


def literal(text: str) -> str:
    """A pattern for the text itself; the database takes NUL in a pattern only in its escaped form."""
    return re.escape(text).replace("\0", r"\x00")
