"""The change log of the last three hours: IMAP sessions and event streams follow it."""

from __future__ import annotations

from collections.abc import Iterable

from bson import ObjectId
from pymongo.client_session import ClientSession

from storage.base.database import Clock, Databases, Document, Transactions
from storage.events.wildduck import WildDuck


class Journal:
    """Repository of the log. Callers give each entry its `modseq`, which they took with the change itself."""

    def __init__(
        self, databases: Databases, clock: Clock, transactions: Transactions, wildduck: WildDuck
    ) -> None:
        self._collection = databases.main["journal"]
        self._clock = clock
        self._transactions = transactions
        self._wildduck = wildduck

    def append(
        self,
        user: ObjectId,
        mailbox: ObjectId,
        entries: Iterable[Document],
        session: ClientSession | None = None,
    ) -> None:
        """Append entries of one mailbox, in their order."""
        created = self._clock()
        rows = [{"user": user, "mailbox": mailbox, "created": created, **entry} for entry in entries]
        if rows:
            self._collection.insert_many(rows, session=session)
            self._transactions.afterwards(session, lambda: self._wildduck.changed(user, mailbox))


def exists(message: Document, junk: int | None = None, *, mark_ham: bool = False) -> Document:
    """The entry for a message that a mailbox has got.

    `junk` is 1 or -1 when it became or ceased to be spam, `mark_ham` says that the user called it none.
    """
    entry = {"command": "EXISTS", **_of(message), "unseen": message["unseen"], "idate": message["idate"]}
    marks = {**({"junk": junk} if junk else {}), **({"markHam": True} if mark_ham else {})}
    return {**entry, **marks}


def expunge(message: Document) -> Document:
    """The entry for a message that left a mailbox."""
    return {"command": "EXPUNGE", **_of(message), "unseen": message["unseen"]}


def fetch(message: Document, *, unseen_change: bool) -> Document:
    """The entry for a message whose flags changed; it carries all of them."""
    return {"command": "FETCH", **_of(message), "flags": message["flags"], "unseenChange": unseen_change}


def _of(message: Document) -> Document:
    return {
        "uid": message["uid"],
        "message": message["_id"],
        "thread": message["thread"],
        "modseq": message["modseq"],
    }
