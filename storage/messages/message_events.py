"""Events about stored messages."""

from __future__ import annotations

from collections.abc import Sequence

from bson import ObjectId

from mail.listing import EVENT_FIELDS, event_fields
from storage.base.database import Databases, Session
from storage.events.events import Events


class MessageEvents:
    """Emits events about messages."""

    def __init__(self, databases: Databases, events: Events) -> None:
        self._collection = databases.main["messages"]
        self._events = events

    def emit_for(
        self, kind: str, user: ObjectId, mailbox: ObjectId, messages: Sequence[ObjectId], session: Session
    ) -> None:
        """Emit an event about each of some messages; they are only read where somebody listens."""
        if messages and self._events.has_listeners(kind, user):
            condition = {"_id": {"$in": list(messages)}, "mailbox": mailbox}
            rows = self._collection.find(condition, EVENT_FIELDS, session=session).sort("uid", 1)
            self._events.emit_all(kind, user, map(event_fields, rows), session)
