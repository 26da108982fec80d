"""The keywords of the `q` language."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from bson import ObjectId

from storage.messages.uid_set import PATTERN, UidSet
from storage.search.terms import (
    Arrived,
    Flagged,
    HasAttachments,
    Header,
    InMailbox,
    InThread,
    Named,
    NotSpamOrTrash,
    Phrase,
    Size,
    Term,
    Uids,
    Unseen,
    Word,
)

RECIPIENTS = ("to", "cc", "bcc")
OPEN_VALUES = frozenset({"from", "to", "cc", "bcc", "subject", "in"})

_TRUE = frozenset({"true", "1", "yes", "y", "on"})
_HEX_ID = re.compile(r"[0-9a-f]{24}")
_DAY = re.compile(r"(\d{4})(?:[-/](\d{1,2})(?:[-/](\d{1,2}))?)?")
_DAY_MONTH_YEAR = ("%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y")


def keyword_term(keyword: str, value: str) -> Term | None:
    """The term of `keyword:value`, None where the value does not fit. An unknown keyword is text like any other."""
    reader = _KEYWORDS.get(keyword)
    if reader is None:
        text = f"{keyword}:{value}".split()
        return Word(text[0]) if len(text) == 1 else Phrase(" ".join(text))
    return reader(value if keyword == "in" else value.lower())


def _header(*names: str) -> Callable[[str], Term | None]:
    return lambda value: Header(names, value) if value else None


def _when_true(term: Term) -> Callable[[str], Term | None]:
    return lambda value: term if value in _TRUE else None


def _one_of(terms: Mapping[str, Term]) -> Callable[[str], Term | None]:
    return terms.get


def _mailbox(value: str) -> Term | None:
    return InMailbox(ObjectId(value)) if _HEX_ID.fullmatch(value) else None


def _named(value: str) -> Term | None:
    return Named(value) if value else None


def _thread(value: str) -> Term | None:
    return InThread(ObjectId(value)) if _HEX_ID.fullmatch(value) else None


def _uids(value: str) -> Term | None:
    return Uids(UidSet.parse(value)) if PATTERN.fullmatch(value) else None


def _since(value: str) -> Term | None:
    date = read_day(value)
    return Arrived(since=date) if date else None


def _until(value: str) -> Term | None:
    date = read_day(value)
    return Arrived(until=date) if date else None


def _least(value: str) -> Term | None:
    size = _size(value)
    return Size(least=size) if size else None


def _most(value: str) -> Term | None:
    size = _size(value)
    return Size(most=size) if size else None


def _size(value: str) -> int:
    """Bytes; 0 for what is no number or too large for one."""
    return int(value) if value.isdecimal() and len(value) < 16 else 0


def read_day(value: str) -> datetime | None:
    """ISO 8601, `2020/1/2`, `2020-1`, `2020` or `1 jan 2020`; without a time the day's beginning in UTC."""
    if match := _DAY.fullmatch(value):
        year, month, day = (int(part or 1) for part in match.groups())
        return _checked(lambda: datetime(year, month, day, tzinfo=UTC))
    if date := _checked(lambda: _in_utc(datetime.fromisoformat(value))):
        return date
    for form in _DAY_MONTH_YEAR:
        if date := _checked(lambda form=form: datetime.strptime(value, form).replace(tzinfo=UTC)):  # type: ignore[misc]
            return date
    return None


def _in_utc(date: datetime) -> datetime:
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def _checked(read: Callable[[], datetime]) -> datetime | None:
    try:
        return read()
    except (ValueError, OverflowError):
        return None


_KEYWORDS: Mapping[str, Callable[[str], Term | None]] = {
    "from": _header("from"),
    "subject": _header("subject"),
    "cc": _header("cc"),
    "bcc": _header("bcc"),
    "to": _header(*RECIPIENTS),
    "in": _named,
    "mailbox": _mailbox,
    "thread": _thread,
    "id": _uids,
    **dict.fromkeys(("datestart", "after", "newer"), _since),
    **dict.fromkeys(("dateend", "before", "older"), _until),
    "minsize": _least,
    "maxsize": _most,
    "attachments": _when_true(HasAttachments()),
    "flagged": _when_true(Flagged()),
    "seen": _when_true(Unseen(False)),
    "unseen": _when_true(Unseen(True)),
    "searchable": _when_true(NotSpamOrTrash()),
    "has": _one_of({"attachment": HasAttachments(), "attachments": HasAttachments()}),
    "is": _one_of(
        {"starred": Flagged(), "flagged": Flagged(), "read": Unseen(False), "unread": Unseen(True)}
    ),
}
