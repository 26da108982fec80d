"""What the sides of the messages repository share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bson import ObjectId
from pymongo.client_session import ClientSession

from mail.marked import FIELDS, of_message
from mail.message import Indexed
from mail.searchtokens import search_tokens
from storage.database import Document

if TYPE_CHECKING:
    from storage.store import Store

READ_MS = 120_000


class MessagesBase:
    """The collection, and the other repositories that a change of a message touches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._collection = store.databases.main["messages"]
        self._mailboxes_name = "mailboxes"

    def _settle(self, mailbox: ObjectId, session: ClientSession | None) -> None:
        """Without transactions others may have read or written in between: have the messages counted again."""
        if session is None:
            self._store.mailboxcounts.distrust(mailbox)

    def tell_about(
        self,
        kind: str,
        user: ObjectId,
        mailbox: ObjectId,
        messages: Sequence[ObjectId],
        session: ClientSession | None,
    ) -> None:
        """Tell an event about each of some messages; they are only looked at where somebody listens."""
        events = self._store.events
        if messages and events.wanted(kind, user):
            wanted = {"_id": {"$in": list(messages)}, "mailbox": mailbox}
            rows = self._collection.find(wanted, FIELDS, session=session).sort("uid", 1)
            events.tell_all(kind, user, map(of_message, rows), session)


def own_fields(indexed: Indexed) -> Document:
    """What Mallard keeps of a message beside WildDuck's fields: tokens for searches, and what the tree lacks."""
    own: Document = {"search": search_tokens(indexed.document["headers"])}
    return own if indexed.layout is None else {**own, "layout": indexed.layout}
