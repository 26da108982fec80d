"""Deleted messages, kept for a while so that they can be restored."""

from __future__ import annotations

from collections.abc import Sequence

from bson import ObjectId
from pymongo.client_session import ClientSession

from storage.database import Clock, Databases, Document
from storage.settings import Settings


class Archive:
    """Repository of deleted messages. They keep their references to attachments."""

    def __init__(self, databases: Databases, clock: Clock, settings: Settings) -> None:
        self._collection = databases.main["archived"]
        self._messages = databases.main["messages"]
        self._clock = clock
        self._settings = settings

    def copy(self, messages: Sequence[ObjectId], session: ClientSession | None = None) -> None:
        """Copy messages by their ids, those archived before stay as they are."""
        now = self._clock()
        expires = int(now.timestamp() * 1000) + int(self._settings.get("const:archive:time"))
        rows: list[Document] = list(self._messages.find({"_id": {"$in": list(messages)}}, session=session))
        known = self._collection.find({"_id": {"$in": list(messages)}}, {"_id": 1}, session=session)
        there = {row["_id"] for row in known}
        fresh = [
            {**row, "archived": now, "exp": True, "rdate": expires} for row in rows if row["_id"] not in there
        ]
        if fresh:
            self._collection.insert_many(fresh, session=session)
