"""What is told to those who listen at that moment, and to nobody later: a log-out, a mailbox that goes away."""

from __future__ import annotations

from datetime import timedelta

from bson import ObjectId
from pymongo.client_session import ClientSession

from storage.base.database import Clock, Databases, Document, Transactions
from storage.events.wildduck import WildDuck

NAME = "notices"
_KEPT = timedelta(minutes=2)


class Notices:
    """Repository of notices, which event streams follow; a TTL index takes them away. WildDuck hears of them, too."""

    def __init__(
        self, databases: Databases, clock: Clock, transactions: Transactions, wildduck: WildDuck
    ) -> None:
        self._collection = databases.main[NAME]
        self._clock = clock
        self._transactions = transactions
        self._wildduck = wildduck

    def log_out(self, user: ObjectId, reason: str) -> None:
        """Tell the clients of an account that their sessions have ended."""
        self._send(user, {"command": "LOGOUT", "reason": reason}, None)

    def drop(self, user: ObjectId, mailbox: ObjectId, session: ClientSession | None = None) -> None:
        """Tell the clients of an account to let go of a mailbox."""
        self._send(user, {"command": "DROP", "mailbox": mailbox}, session)

    def _send(self, user: ObjectId, payload: Document, session: ClientSession | None) -> None:
        row = {"user": user, "payload": payload, "expires": self._clock() + _KEPT}
        self._collection.insert_one(row, session=session)
        self._transactions.afterwards(session, lambda: self._wildduck.tell(user, payload))
