"""What stands in the collection of messages, and how its fields come about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import bson

from mail.message import Indexed, index
from mail.search_tokens import search_tokens
from storage.base.database import Document

_MAY_NOT_FIT = 1024 * 1024
_LARGEST_DOCUMENT = 15 * 1024 * 1024  # leaves room for what is added later, as by the archive


def to_fit(indexed: Indexed, raw: bytes, received: datetime) -> Indexed:
    """The index of a message, a sparing one where a document cannot hold all of it (16 MiB of BSON)."""
    if len(raw) < _MAY_NOT_FIT or len(bson.encode(indexed.document)) <= _LARGEST_DOCUMENT:
        return indexed
    return index(raw, received, sparing=True)


def own_fields(indexed: Indexed) -> Document:
    """What Mallard keeps of a message beside WildDuck's fields: tokens for searches, and what the tree lacks."""
    own: Document = {"search": search_tokens(indexed.document["headers"])}
    return own if indexed.layout is None else {**own, "layout": indexed.layout}


def flag_fields(flags: Sequence[str]) -> Document:
    """`flags` with the fields that mirror them; `searchable` is only there while it is true."""
    fields: Document = {
        "flags": list(flags),
        "unseen": "\\Seen" not in flags,
        "undeleted": "\\Deleted" not in flags,
        "flagged": "\\Flagged" in flags,
        "draft": "\\Draft" in flags,
    }
    return {**fields, "searchable": True} if fields["undeleted"] else fields


def without_none(fields: Mapping[str, Any]) -> Document:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
