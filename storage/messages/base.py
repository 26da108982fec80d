"""What the sides of the messages repository share."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import bson
from bson import ObjectId
from pymongo.client_session import ClientSession

from mail.message import Indexed, index
from mail.search_tokens import search_tokens
from storage.base.database import Document

if TYPE_CHECKING:
    from storage.store import Store

READ_MS = 120_000
_MAY_NOT_FIT = 1024 * 1024
_LARGEST_DOCUMENT = 15 * 1024 * 1024  # leaves room for what is added later, as by the archive


class MessagesBase:
    """The collection, and the other repositories that a change of a message touches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._collection = store.databases.main["messages"]
        self._mailboxes_name = "mailboxes"

    def is_alive(self, message: ObjectId, session: ClientSession | None = None) -> bool:
        """Whether there is a message with this id, in whatever mailbox."""
        return self._collection.find_one({"_id": message}, {"_id": 1}, session=session) is not None


def to_fit(indexed: Indexed, raw: bytes, received: datetime) -> Indexed:
    """The index of a message, a sparing one where a document cannot hold all of it (16 MiB of BSON)."""
    if len(raw) < _MAY_NOT_FIT or len(bson.encode(indexed.document)) <= _LARGEST_DOCUMENT:
        return indexed
    return index(raw, received, sparing=True)


def own_fields(indexed: Indexed) -> Document:
    """What Mallard keeps of a message beside WildDuck's fields: tokens for searches, and what the tree lacks."""
    own: Document = {"search": search_tokens(indexed.document["headers"])}
    return own if indexed.layout is None else {**own, "layout": indexed.layout}
