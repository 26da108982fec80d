"""What clients are sent that are connected at that moment, and nobody later: a log-out, a mailbox that is deleted."""

from __future__ import annotations

from datetime import timedelta

from bson import ObjectId

from storage.base.database import Clock, Databases, Session, Transactions, holding
from storage.events.documents import Notice, NoticeRow
from storage.events.wildduck import WildDuck

NAME = "notices"
_KEPT = timedelta(minutes=2)


class Notices:
    """Repository of notices, which event streams follow; a TTL index removes them. WildDuck gets them, too."""

    def __init__(
        self, databases: Databases, clock: Clock, transactions: Transactions, wildduck: WildDuck
    ) -> None:
        self._collection = holding(databases.main[NAME], NoticeRow)
        self._clock = clock
        self._transactions = transactions
        self._wildduck = wildduck

    def log_out(self, user: ObjectId, reason: str) -> None:
        """Notify the clients of an account that their sessions have ended."""
        self._send(user, {"command": "LOGOUT", "reason": reason}, None)

    def drop(self, user: ObjectId, mailbox: ObjectId, session: Session = None) -> None:
        """Notify the clients of an account that a mailbox is deleted."""
        self._send(user, {"command": "DROP", "mailbox": mailbox}, session)

    def _send(self, user: ObjectId, payload: Notice, session: Session) -> None:
        row: NoticeRow = {"user": user, "payload": payload, "expires": self._clock() + _KEPT}
        self._collection.insert_one(row, session=session)
        self._transactions.afterwards(session, lambda: self._wildduck.send(user, payload))
