"""What a search asks for → the conditions that the store is asked with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bson import ObjectId

from problems import InvalidInput
from storage.base.database import Condition
from storage.messages.uid_set import UidSet
from storage.search.keywords import RECIPIENTS
from storage.search.language import QuerySyntaxError, parse_query
from storage.search.plan import Places, plan
from storage.search.terms import (
    All,
    Arrived,
    Flagged,
    HasAttachments,
    Header,
    InMailbox,
    InThread,
    NotDeleted,
    NotSpamOrTrash,
    Size,
    Some,
    Term,
    Text,
    Uids,
    Unseen,
)

_HEADERS = {"from": ("from",), "to": RECIPIENTS, "subject": ("subject",)}


def condition(places: Places, user: ObjectId, fields: Mapping[str, Any]) -> list[Condition]:
    """The conditions of a search by the API's names, one of which must hold.

    `q` takes the place of all but `useAndSearch` and `searchable`.
    Raises InvalidInput where `q` is no query.
    """
    all_words = bool(fields.get("useAndSearch"))
    if not fields.get("q"):
        return plan(user, _terms_of(fields), places, all_words=all_words)
    try:
        term = parse_query(fields["q"])
    except QuerySyntaxError as error:
        raise InvalidInput({"q": f'"q" cannot be read: {error}'}) from error
    within = [NotSpamOrTrash()] if fields.get("searchable") else []
    return plan(user, term, places, all_words=all_words, within=within)


def is_restricted(fields: Mapping[str, Any]) -> bool:
    """Return whether a search has any condition, so that it does not match every message of the account."""
    return bool(fields.get("q") or _terms_of(fields).parts)


def _terms_of(fields: Mapping[str, Any]) -> All:
    """All that the parameters ask for; `fields` has the API's names, the `or` group as an object."""
    return All((*_of_place(fields), *_of_message(fields), *_of_text(fields)))


def _of_place(fields: Mapping[str, Any]) -> Iterator[Term]:
    if mailbox := fields.get("mailbox"):
        yield InMailbox(mailbox)
        if fields.get("id"):
            yield Uids(UidSet.parse(fields["id"]))
        if fields.get("searchable"):
            yield NotDeleted()
    elif fields.get("searchable"):
        yield NotSpamOrTrash()
    if thread := fields.get("thread"):
        yield InThread(thread)


def _of_message(fields: Mapping[str, Any]) -> Iterator[Term]:
    if fields.get("datestart"):
        yield Arrived(since=fields["datestart"])
    if fields.get("dateend"):
        yield Arrived(until=fields["dateend"])
    if fields.get("minSize"):
        yield Size(least=fields["minSize"])
    if fields.get("maxSize"):
        yield Size(most=fields["maxSize"])
    if fields.get("flagged"):
        yield Flagged()
    if fields.get("attachments"):
        yield HasAttachments()
    if fields.get("unseen") or fields.get("seen"):
        yield Unseen(bool(fields.get("unseen")))


def _of_text(fields: Mapping[str, Any]) -> Iterator[Term]:
    yield from _headers(fields)
    if query := (fields.get("query") or "").strip():
        yield Text(query)
    group = fields.get("or") or {}
    terms = list(_headers(group))
    if not query and (alternative := (group.get("query") or "").strip()):
        terms.append(Text(alternative))
    if terms:
        yield terms[0] if len(terms) == 1 else Some(tuple(terms))


def _headers(fields: Mapping[str, Any]) -> Iterator[Term]:
    for name, headers in _HEADERS.items():
        if text := (fields.get(name) or "").strip():
            yield Header(headers, text.lower())
