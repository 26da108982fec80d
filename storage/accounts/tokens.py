"""Access tokens, stored by the hash of their text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson import ObjectId

from security.roles import ROLES
from security.tokens import is_signed, new_token, signature, token_hash
from storage.accounts.documents import AccessToken, User
from storage.accounts.user_fields import is_closed
from storage.base.database import Clock, Condition, Databases, Session, Stages, holding

_TOUCH_SECONDS = 60
_READ_MS = 3000


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """Whose token it is. `record` is its id; so is `session` where the token is one, that is, has a time to live."""

    user: str
    role: str
    session: str | None
    record: str


class Tokens:
    """Repository of access tokens."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = holding(databases.users["accesstokens"], AccessToken)
        self._users_name = "users"
        self._clock = clock

    def issue(self, user: User, *, secret: str, ttl: int) -> str:
        """A session token of an account, ending `ttl` seconds after its last use."""
        text = new_token()
        fields = self._session_fields(user, token_hash(text), text, secret, ttl)
        self._collection.insert_one({"_id": token_hash(text), **fields})
        return text

    def provision(self, user: str, role: str, *, secret: str) -> str:
        """A token of a program, which does not end by itself."""
        text = new_token()
        record: AccessToken = {"user": user, "role": role, "created": self._clock()}
        self._collection.insert_one(
            {"_id": token_hash(text), **record, "s": signature(secret, token_hash(text), user, role, None)}
        )
        return text

    def find(self, text: str, *, secret: str, lifetime: int) -> TokenRecord | None:
        """The record of a token, None where it is unknown, forged, too old, or its account is gone or shut.

        One query reads token and account; the expiry moves at most once a minute.
        """
        for row in self._collection.aggregate(self._pipeline([token_hash(text)]), maxTimeMS=_READ_MS):
            if not self._is_good(row, secret, lifetime):
                return None
            if row.get("ttl"):
                self._touch(row)
            return TokenRecord(row["user"], row["role"], row["_id"] if row.get("ttl") else None, row["_id"])
        return None

    def living(self, records: Iterable[str], *, secret: str, lifetime: int) -> set[str]:
        """Those of some records that are still good; none of them counts as used."""
        rows = self._collection.aggregate(self._pipeline(list(records)), maxTimeMS=_READ_MS)
        return {row["_id"] for row in rows if self._is_good(row, secret, lifetime)}

    def _pipeline(self, records: list[str]) -> Stages:
        account = {"$convert": {"input": "$user", "to": "objectId", "onError": None, "onNull": None}}
        wanted = {"authVersion": 1, "disabled": 1, "suspended": 1}
        return [
            {
                "$match": {
                    "_id": {"$in": records},
                    "$or": [{"expires": {"$gt": self._clock()}}, {"expires": None}],
                }
            },
            {"$set": {"account": account}},
            {
                "$lookup": {
                    "from": self._users_name,
                    "localField": "account",
                    "foreignField": "_id",
                    "pipeline": [{"$project": wanted}],
                    "as": "users",
                }
            },
        ]

    def _is_good(self, row: Mapping[str, Any], secret: str, lifetime: int) -> bool:
        version = row.get("authVersion")
        if row["role"] not in ROLES or not is_signed(
            row["s"], secret, row["_id"], row["user"], row["role"], version
        ):
            return False
        age = (self._clock() - row["created"]).total_seconds()
        if row.get("ttl") and age >= lifetime:
            self.delete(row["_id"])
            return False
        return row["account"] is None or _may_act(row["users"], version or 0)

    def _touch(self, row: Mapping[str, Any]) -> None:
        expires = self._clock() + timedelta(seconds=row["ttl"])
        if (expires - row["expires"]).total_seconds() > _TOUCH_SECONDS:
            self._collection.update_one({"_id": row["_id"]}, {"$max": {"expires": expires}})

    def refresh(self, session: str, user: User, *, secret: str, ttl: int) -> None:
        """Carry a session over the one change of the account's `authVersion` that it has made itself.

        Over no other: while a thief's session changes the password again and again, a reset by the operator ends it.
        """
        fields = self._session_fields(user, session, None, secret, ttl)
        wanted = {"_id": session, "user": fields["user"], "authVersion": fields["authVersion"] - 1}
        self._collection.update_one(wanted, {"$set": fields})

    def _session_fields(
        self, user: User, record: str, text: str | None, secret: str, ttl: int
    ) -> AccessToken:
        version = int(user.get("authVersion") or 0)
        now = self._clock()
        return {
            "user": str(user["_id"]),
            "role": "user",
            "created": now,
            "ttl": ttl,
            "authVersion": version,
            "expires": now + timedelta(seconds=ttl),
            "s": signature(secret, record, str(user["_id"]), "user", version),
        }

    def delete(self, record: str) -> bool:
        """End a session by its record's id; whether there was one."""
        return self._collection.delete_one({"_id": record}).deleted_count > 0

    def delete_text(self, text: str) -> bool:
        """End the token with this text; whether there was one."""
        return self.delete(token_hash(text))

    def delete_short(self, start: str) -> bool:
        """End the one token whose record's id begins like this; whether there was one, and no other."""
        wanted = {"_id": {"$gte": start, "$lt": start + "g"}}
        found = [row["_id"] for row in self._collection.find(wanted, {"_id": 1}).limit(2)]
        return len(found) == 1 and self.delete(found[0])

    def clear(self, user: str | ObjectId, session: Session = None) -> int:
        """End all tokens of a name or an account; how many there were."""
        return self._collection.delete_many({"user": str(user)}, session=session).deleted_count

    def list(self, user: str | None = None) -> list[AccessToken]:
        """The records of a name, or all, newest first."""
        wanted: Condition = {"user": user} if user else {}
        return list(self._collection.find(wanted, {"s": 0}).sort("created", -1))


def _may_act(users: Sequence[User], version: int) -> bool:
    if not users:
        return False
    user = users[0]
    return not is_closed(user) and version >= int(user.get("authVersion") or 0)
