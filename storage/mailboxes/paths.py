"""Paths of mailboxes: names apart by slashes."""

from __future__ import annotations

from problems import MailboxProtected

_MOST_SEGMENTS, _LONGEST_SEGMENT = 128, 512


def normalize_path(path: str) -> str:
    """Without a slash at either end; a first segment `inbox` in any case is INBOX."""
    path = path.removeprefix("/").removesuffix("/")
    first, slash, rest = path.partition("/")
    return ("INBOX" if first.lower() == "inbox" else first) + slash + rest


LIMITS = f"{_MOST_SEGMENTS} levels at most, each of {_LONGEST_SEGMENT} characters at most"


def checked_path(path: str) -> str:
    """The normalized path. Raises MailboxProtected when it is too deep or a name too long."""
    path = normalize_path(path)
    if not is_within_limits(path):
        raise MailboxProtected(f"A path has {LIMITS}")
    return path


def is_within_limits(path: str) -> bool:
    """Whether a path is not too deep and no name in it too long."""
    segments = normalize_path(path).split("/")
    return len(segments) <= _MOST_SEGMENTS and all(_units(name) <= _LONGEST_SEGMENT for name in segments)


def _units(text: str) -> int:
    """Length in UTF-16, as WildDuck counts."""
    return len(text.encode("utf-16-le")) // 2
