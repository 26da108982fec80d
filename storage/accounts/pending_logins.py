"""Log-ins that wait for their second factor, each known by a nonce of which only the hash is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from security.tokens import new_token, token_hash
from storage.accounts.documents import PendingLogin, User
from storage.base.database import Clock, Condition, Databases, holding

LIFETIME = timedelta(seconds=600)
NAME = "pending2fa"


class PendingLogins:
    """Repository of pending log-ins."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = holding(databases.users[NAME], PendingLogin)
        self._clock = clock

    def start(self, user: User, methods: Sequence[str], *, yields_token: bool) -> str:
        """The nonce of a new one: which methods complete it, and whether it then yields a token.

        It ends with the account's `authVersion`, as sessions do.
        """
        nonce = new_token()
        now = self._clock()
        self._collection.insert_one(
            {
                "_id": token_hash(nonce),
                "user": user["_id"],
                "authVersion": int(user.get("authVersion") or 0),
                "methods": list(methods),
                "tokenRequested": yields_token,
                "created": now,
                "expires": now + LIFETIME,
            }
        )
        return nonce

    def find(self, nonce: str, user: User, method: str) -> PendingLogin | None:
        """The pending log-in of this account that the method may complete."""
        return self._collection.find_one(self._wanted(nonce, user, method))

    def take(self, nonce: str, user: User, method: str) -> PendingLogin | None:
        """The same, and it is over: of several callers one gets it."""
        return self._collection.find_one_and_delete(self._wanted(nonce, user, method))

    def _wanted(self, nonce: str, user: User, method: str) -> Condition:
        return {
            "_id": token_hash(nonce),
            "user": user["_id"],
            "authVersion": int(user.get("authVersion") or 0),
            "methods": method,
            "expires": {"$gt": self._clock()},
        }
