"""The parameters of a search → terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from storage.messages.uid_set import UidSet
from storage.search.keywords import RECIPIENTS
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


def terms_of(fields: Mapping[str, Any]) -> All:
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
