"""Messages that move in and out in bulk: a mailbox read from end to end, and what is there already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bson import ObjectId

from storage.base.database import Document
from storage.messages.base import READ_MS
from storage.messages.reading import ReadMessages

_AT_ONCE = 20
_MOST_ALIKE = 100
_OF_EXPORT = {"uid": 1, "flags": 1, "idate": 1, "meta.from": 1, "mimeTree": 1, "mallard": 1}


class MovingMessages(ReadMessages):
    """The way of whole mailboxes."""

    def each(self, user: ObjectId, mailbox: ObjectId) -> Iterator[Document]:
        """All messages of a mailbox by UID, with what `source` needs; a few at a time, however long it takes."""
        last = 0
        while rows := self._rows_behind(user, mailbox, last):
            yield from rows
            last = rows[-1]["uid"]

    def _rows_behind(self, user: ObjectId, mailbox: ObjectId, uid: int) -> list[Document]:
        wanted = {"mailbox": mailbox, "uid": {"$gt": uid}, "user": user}
        found = self._collection.find(wanted, _OF_EXPORT, max_time_ms=READ_MS)
        return list(found.sort("uid", 1).limit(_AT_ONCE))

    def has_any(self, user: ObjectId, ids: Sequence[ObjectId]) -> bool:
        """Whether one of some ids is a message of the account."""
        wanted = {"_id": {"$in": list(ids)}, "user": user}
        return self._collection.find_one(wanted, {"_id": 1}, max_time_ms=READ_MS) is not None

    def has_same(self, mailbox: ObjectId, raw: bytes, message_id: str) -> bool:
        """Whether a mailbox has a message of the very same bytes with this Message-ID."""
        wanted = {"mailbox": mailbox, "size": len(raw), "msgid": message_id}
        alike = self._collection.find(wanted, {"mimeTree": 1, "mallard": 1}, max_time_ms=READ_MS)
        return any(b"".join(self.source(message)) == raw for message in alike.limit(_MOST_ALIKE))
