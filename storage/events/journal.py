"""The change log of the last three hours: IMAP sessions and event streams follow it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from bson import ObjectId

from storage.base.database import Clock, Databases, Session, Transactions, holding
from storage.events.documents import JournalEntry
from storage.events.wildduck import WildDuck

MessageFields: TypeAlias = Mapping[str, Any]
"""What an entry copies of a message: `_id`, `uid`, `thread`, `modseq`, and `unseen`, `idate` or `flags`."""


class Journal:
    """Repository of the log. Callers give each entry its `modseq`, which they took with the change itself."""

    def __init__(
        self, databases: Databases, clock: Clock, transactions: Transactions, wildduck: WildDuck
    ) -> None:
        self._collection = holding(databases.main["journal"], JournalEntry)
        self._clock = clock
        self._transactions = transactions
        self._wildduck = wildduck

    def append(
        self,
        user: ObjectId,
        mailbox: ObjectId,
        entries: Iterable[JournalEntry],
        session: Session = None,
    ) -> None:
        """Append entries of one mailbox, in their order."""
        created = self._clock()
        rows: list[JournalEntry] = [
            {"user": user, "mailbox": mailbox, "created": created, **entry} for entry in entries
        ]
        if rows:
            self._collection.insert_many(rows, session=session)
            self._transactions.afterwards(session, lambda: self._wildduck.changed(user, mailbox))


def exists(message: MessageFields, junk: int | None = None, *, mark_ham: bool = False) -> JournalEntry:
    """The entry for a message that was added to a mailbox.

    `junk` is 1 or -1 when it became or ceased to be spam, `mark_ham` that the user moved it out of the junk folder.
    """
    entry: JournalEntry = {"command": "EXISTS", **_of(message), "unseen": message["unseen"]}
    entry["idate"] = message["idate"]
    if junk:
        entry["junk"] = junk
    if mark_ham:
        entry["markHam"] = True
    return entry


def expunge(message: MessageFields) -> JournalEntry:
    """The entry for a message that was removed from a mailbox."""
    return {"command": "EXPUNGE", **_of(message), "unseen": message["unseen"]}


def fetch(message: MessageFields, *, unseen_change: bool) -> JournalEntry:
    """The entry for a message whose flags changed; it has all of them."""
    return {"command": "FETCH", **_of(message), "flags": message["flags"], "unseenChange": unseen_change}


def _of(message: MessageFields) -> JournalEntry:
    return {
        "uid": message["uid"],
        "message": message["_id"],
        "thread": message["thread"],
        "modseq": message["modseq"],
    }
