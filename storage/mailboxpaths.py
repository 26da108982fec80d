"""Paths of mailboxes: names apart by slashes."""

from __future__ import annotations

from problems import Problem

_MOST_SEGMENTS, _LONGEST_SEGMENT = 128, 512


def normalise_path(path: str) -> str:
    """Without a slash at either end; a first segment `inbox` in any case is INBOX."""
    path = path.removeprefix("/").removesuffix("/")
    first, slash, rest = path.partition("/")
    return ("INBOX" if first.lower() == "inbox" else first) + slash + rest


def checked_path(path: str) -> str:
    """The normalised path. Raises Problem DisallowedMailboxMethod when it is too deep or a name too long."""
    path = normalise_path(path)
    segments = path.split("/")
    if len(segments) > _MOST_SEGMENTS or any(_units(segment) > _LONGEST_SEGMENT for segment in segments):
        text = f"A path has {_MOST_SEGMENTS} levels at most, each of {_LONGEST_SEGMENT} characters at most"
        raise Problem("DisallowedMailboxMethod", text)
    return path


def _units(text: str) -> int:
    """Length in UTF-16, as WildDuck counts."""
    return len(text.encode("utf-16-le")) // 2
