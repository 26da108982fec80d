"""Filters: which of an account's match a message, and what is to be done with it.

All matching filters count, in the order of their ids; none stops the others. For each of `seen`,
`flag`, `delete`, `spam` and `mailbox` the first matching filter that says something decides, a `false` included.
Targets of all are united.

Whether it is spam, the first that says something:

    1. a rule about the sender's domain
    2. a filter
    3. the account's spam level

Where it goes, the first that holds:

    1. `delete`: nowhere
    2. spam by level: to Junk
    3. spam by a filter made after the one that names a mailbox: to Junk
    4. a filter names a mailbox: there; so a mailbox wins over the domain rule, over the same filter and earlier ones
    5. spam: to Junk
    6. to INBOX

This is what WildDuck does with filters that were stored in one piece, without its dependence on the order of keys.
Spam is never forwarded, its targets are only noted. A deleted message is forwarded to the targets of filters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from bson import ObjectId

from mail.html import html_to_text
from security.targets import same_target
from storage.accounts.documents import Filter
from storage.addresses.documents import Target

_HEADERS: Mapping[str, tuple[str, ...]] = {
    "from": ("from", "sender"),
    "to": ("to", "cc", "delivered-to"),
    "subject": ("subject",),
    "listId": ("list-id",),
}

_SPACES = re.compile(r"\s+")
# a phrase, an OR that stands alone, or a word; a quotation mark without a second one is part of a word
_TOKEN = re.compile(
    r'"(?P<phrase>[^"]*)"|(?P<or>(?<![^\s"])OR(?=\s|"[^"]*"|$))|(?P<word>(?:[^\s,"]|"(?![^"]*"))+)'
)

Alternatives = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Incoming:
    """Of a message what filters look at; made once, however many filters there are."""

    headers: Mapping[str, Sequence[str]]
    text: str
    has_attachments: bool
    size: int


class Source(Enum):
    """Who decided whether a message is spam."""

    DOMAIN = "domain"
    FILTER = "filter"
    LEVEL = "level"


class Place(Enum):
    """Where a message goes; for `MAILBOX` a filter says which."""

    NOWHERE = "nowhere"
    JUNK = "junk"
    MAILBOX = "mailbox"
    INBOX = "inbox"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done. `spam` is None, as is its `source`, where nobody decided; `flags` are IMAP flags.

    `deciding` is the filter that decided about spam, where it was one. A `mailbox` that no longer exists means INBOX.
    """

    matched: tuple[ObjectId, ...]
    flags: tuple[str, ...]
    spam: bool | None
    source: Source | None
    deciding: ObjectId | None
    place: Place
    mailbox: ObjectId | None
    targets: tuple[Target, ...]


def incoming(document: Mapping[str, Any]) -> Incoming:
    """What filters look at, from the fields of `mail.message.Indexed.document` or a stored message."""
    headers: dict[str, list[str]] = {}
    for header in document.get("headers") or ():
        headers.setdefault(header["key"], []).append(plain(header["value"]))
    text = document.get("text", "") + document.get("textFooter", "")
    text = text or html_to_text("\n".join(document.get("html") or ()))
    return Incoming(headers, plain(text), bool(document.get("ha")), document["size"])


def matches(query: Mapping[str, Any], message: Incoming) -> bool:
    """Return whether all conditions of a stored query hold; none at all holds for every message."""
    return (
        all(_header_holds(name, value, message) for name, value in (query.get("headers") or {}).items())
        and _attachments_hold(query.get("ha"), message)
        and _size_holds(query.get("size") or 0, message.size)
        and text_holds(query.get("text") or "", message.text)
    )


def _header_holds(name: str, value: str, message: Incoming) -> bool:
    text_sought = plain(value)
    if name == "listId":
        text_sought = (
            text_sought.partition("<")[2].partition(">")[0].strip() if "<" in text_sought else text_sought
        )
    headers = _HEADERS.get(name, ())
    return any(text_sought in text for header in headers for text in message.headers.get(header, ()))


def _attachments_hold(condition: Any, message: Incoming) -> bool:
    """Return whether the message's attachments are as asked; old documents have numbers, a negative one for `false`."""
    if condition is None or (condition == 0 and condition is not False):
        return True
    return message.has_attachments is bool(condition > 0)


def _size_holds(condition: float, size: int) -> bool:
    return size >= condition if condition >= 0 else size <= -condition


def decide(
    filters: Iterable[Filter],
    message: Incoming,
    *,
    domain_rule: bool | None = None,
    level: bool | None = None,
) -> Verdict:
    """What the filters of an account want done with a message; see the rules above.

    `domain_rule` and `level` say what these make of it: spam, no spam, or nothing.
    """
    matching = [f for f in in_order(filters) if matches(f.get("query") or {}, message)]
    spam, by = _first(matching, "spam")
    mailbox, named_by = _first(matching, "mailbox")
    source = Source.FILTER if spam is not None else None
    if domain_rule is not None:
        spam, source = domain_rule, Source.DOMAIN
    if level is not None and source is None:
        spam, source = level, Source.LEVEL
    return Verdict(
        matched=tuple(f["_id"] for f in matching),
        flags=tuple(
            flag for key, flag in (("seen", "\\Seen"), ("flag", "\\Flagged")) if _first(matching, key)[0]
        ),
        spam=spam,
        source=source,
        deciding=matching[by]["_id"] if source is Source.FILTER else None,
        place=_place(
            mailbox,
            source,
            delete=bool(_first(matching, "delete")[0]),
            spam=spam,
            spam_is_later=by > named_by,
        ),
        mailbox=mailbox or None,
        targets=tuple(each_once(_targets(matching))),
    )


def in_order(filters: Iterable[Filter]) -> list[Filter]:
    """Those that are not disabled, in the order in which they were made."""
    return sorted((f for f in filters if f.get("disabled") is not True), key=lambda f: ObjectId(f["_id"]))


def _first(matching: Sequence[Filter], key: str) -> tuple[Any, int]:
    """What the first filter that has an action says, and its place; None and a place behind all without one."""
    for place, found in enumerate(matching):
        value = (found.get("action") or {}).get(key)
        if value is not None:
            return value, place
    return None, len(matching)


def _place(
    mailbox: ObjectId | None, source: Source | None, *, delete: bool, spam: bool | None, spam_is_later: bool
) -> Place:
    if delete:
        return Place.NOWHERE
    if spam and source is Source.LEVEL:
        return Place.JUNK
    if mailbox and not (spam and source is Source.FILTER and spam_is_later):
        return Place.MAILBOX
    return Place.JUNK if spam else Place.INBOX


def _targets(matching: Sequence[Filter]) -> Iterable[Target]:
    return (target for row in matching for target in (row.get("action") or {}).get("targets") or ())


def each_once(targets: Iterable[Target]) -> list[Target]:
    """Each target once, in the order given; several spellings of one address are one target."""
    unique: dict[str, Target] = {}
    for target in targets:
        unique.setdefault(same_target(target["value"]), target)
    return list(unique.values())


def plain(text: str) -> str:
    """Text as it is compared: in lower case, each run of white space one blank."""
    return _SPACES.sub(" ", text.lower()).strip()


@lru_cache(maxsize=4096)
def parse_text_query(query: str) -> Alternatives:
    """What a filter asks of a text: words, phrases in double quotes, and `OR` between alternatives.

    The alternatives of a query; in one of them all texts must occur. Empty for a query that asks nothing.

    Blanks and commas separate words. A query of nothing but separators and `OR` asks for itself.
    """
    alternatives: list[list[str]] = [[]]
    for token in _TOKEN.finditer(query):
        if token["or"]:
            alternatives.append([])
        elif term := plain(token["phrase"] or token["word"] or ""):
            alternatives[-1].append(term)
    found = tuple(tuple(terms) for terms in alternatives if terms)
    return found or (((plain(query),),) if plain(query) else ())


def text_holds(query: str, text: str) -> bool:
    """Return whether a text, in the form that `plain` makes, is what a query asks for."""
    alternatives = parse_text_query(query)
    return not alternatives or any(all(term in text for term in terms) for terms in alternatives)
