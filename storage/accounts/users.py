"""Accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from problems import UserExists, UserNotFound
from security.normalize import username_view
from security.secrets import KeyRing
from storage.accounts.documents import Counter, OwnUserFields, User, UserSummary
from storage.accounts.user_changes import UserChange
from storage.accounts.user_fields import initial, stored_fields
from storage.addresses.addresses import HeldNames
from storage.addresses.domain_rename import AddressMove
from storage.base.counters import COUNTER_OF, counter_key
from storage.base.counters import NAME as COUNTERS
from storage.base.database import (
    Clock,
    Condition,
    Databases,
    Document,
    Projection,
    Session,
    holding,
)
from storage.base.listing import page_of
from storage.base.paging import Order, Page, Paging
from storage.keys.sealed import Place

_READ_MS = 3000
_SECRETS = ("password", "tempPassword", "oldPasswords", "seed", "pendingSeed", "webauthn")
_HAS_PASSWORD: Projection = {
    "$or": [
        {"$gt": [{"$ifNull": ["$password", ""]}, ""]},
        {"$gt": [{"$ifNull": ["$tempPassword.password", ""]}, ""]},
    ]
}
_LISTED: Projection = {
    **dict.fromkeys(
        ("username", "name", "address", "tags", "targets", "enabled2fa", "autoreply", "encryptMessages",
         "encryptForwarded", "quota", "storageUsed", "activated", "disabled", "suspended"),
        1,
    ),
    "hasPassword": _HAS_PASSWORD,
}  # fmt: skip


class Users:
    """Repository of accounts."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = holding(databases.users["users"], User)
        self._summaries = holding(databases.users["users"], UserSummary)
        self._filters = "filters"
        self._same_database = databases.users.name == databases.main.name
        self._main = databases.main
        self._held = HeldNames(databases, clock)
        self._clock = clock

    def create(self, username: str, fields: Document, session: Session = None) -> User:
        """Insert an account with what it starts with. Raises UserExists."""
        document: User = {
            **initial(self._clock()),
            **stored_fields(fields),
            "_id": ObjectId(),
            "username": username,
            "unameview": username_view(username),
        }
        if self._held.has_username(document["unameview"], session):
            raise UserExists
        try:
            self._collection.insert_one(document, session=session)
        except DuplicateKeyError as error:
            raise UserExists from error
        return document

    def discard(self, user: ObjectId) -> None:
        """Take back an account just made, where the server has no transaction to do so."""
        self._collection.delete_one({"_id": user})

    def find(self, user: ObjectId) -> User | None:
        """An account's document, None where there is none."""
        return self._collection.find_one({"_id": user}, max_time_ms=_READ_MS)

    def get(
        self,
        user: ObjectId,
        projection: Projection | None = None,
        session: Session = None,
    ) -> User:
        """An account's document. Raises UserNotFound."""
        found = self._collection.find_one({"_id": user}, projection, max_time_ms=_READ_MS, session=session)
        if not found:
            raise UserNotFound
        return found

    def require(self, user: ObjectId) -> None:
        """Raises UserNotFound where there is no such account."""
        self.get(user, {"_id": 1})

    def exists(self, user: ObjectId) -> bool:
        """Whether there is such an account."""
        return self._collection.find_one({"_id": user}, {"_id": 1}, max_time_ms=_READ_MS) is not None

    def active(self, users: Collection[ObjectId]) -> set[ObjectId]:
        """Those of some accounts that are there and neither disabled nor suspended."""
        wanted = {"_id": {"$in": list(users)}, "disabled": {"$ne": True}, "suspended": {"$ne": True}}
        return {row["_id"] for row in self._collection.find(wanted, {"_id": 1}, max_time_ms=_READ_MS)}

    def by_username(self, username: str) -> User | None:
        """The account with this user name, dots being of no importance."""
        return self._collection.find_one({"unameview": username_view(username)}, max_time_ms=_READ_MS)

    def id_of(self, username: str) -> ObjectId:
        """The id of the account with this user name. Raises UserNotFound."""
        wanted = {"unameview": username_view(username)}
        found = self._collection.find_one(wanted, {"_id": 1}, max_time_ms=_READ_MS)
        if not found:
            raise UserNotFound
        return ObjectId(found["_id"])

    def summary(self, user: ObjectId) -> UserSummary:
        """An account without its secrets, with `hasPassword`, `counters` and `filterCount`, in one query.

        Raises UserNotFound.
        """
        pipeline: list[Condition] = [
            {"$match": {"_id": user}},
            {"$set": {"hasPassword": _HAS_PASSWORD, "tempCreated": "$tempPassword.created"}},
            {"$unset": list(_SECRETS)},
        ]
        if self._same_database:
            pipeline += self._lookups(user)
        for row in self._summaries.aggregate(pipeline, maxTimeMS=_READ_MS):
            return row if self._same_database else {**row, **self._apart(user)}
        raise UserNotFound

    def _lookups(self, user: ObjectId) -> list[Condition]:
        count = [{"$match": {"user": user}}, {"$count": "n"}]
        return [
            {"$lookup": {"from": COUNTERS, "pipeline": [{"$match": self._running(user)}], "as": "counters"}},
            {"$lookup": {"from": self._filters, "pipeline": count, "as": "filterCount"}},
            {"$set": {"filterCount": {"$ifNull": [{"$first": "$filterCount.n"}, 0]}}},
        ]

    def _apart(self, user: ObjectId) -> UserSummary:
        """The same where accounts have a database of their own."""
        counters = list(holding(self._main[COUNTERS], Counter).find(self._running(user)))
        return {
            "counters": counters,
            "filterCount": self._main[self._filters].count_documents({"user": user}),
        }

    def _running(self, user: ObjectId) -> Condition:
        keys = [counter_key(limit, user) for limit in COUNTER_OF]
        return {"_id": {"$in": keys}, "expires": {"$gt": self._clock()}}

    def page(
        self, condition: Condition, paging: Paging, more: Iterable[str] = ()
    ) -> tuple[Page[UserSummary], int]:
        """A page of accounts by id, with `more` fields beside the usual ones, and how many there are.

        `condition` comes from `listing_filter`.
        """
        return page_of(self._summaries, condition, {**_LISTED, **dict.fromkeys(more, 1)}, paging, Order())

    def apply(self, user: ObjectId, change: UserChange, session: Session = None) -> None:
        """Change an account in one step. Raises UserNotFound."""
        update = change.as_update()
        if not update:
            self.require(user)
        elif not self._collection.update_one({"_id": user}, update, session=session).matched_count:
            raise UserNotFound

    def set_address(
        self,
        user: ObjectId,
        address: str,
        *,
        only_if_none: bool = False,
        session: Session = None,
    ) -> None:
        """Make an address the main one; with `only_if_none` unless there is one already."""
        wanted: Document = {"_id": user}
        if only_if_none:
            wanted["address"] = {"$in": ["", None]}
        self._collection.update_one(wanted, {"$set": {"address": address}}, session=session)

    def hold_unless_main(self, user: ObjectId, address: str, session: Session = None) -> bool:
        """Whether an address is not the main one; it cannot become so before the transaction has ended.

        The account is written to: a transaction that makes the address the main one runs before this one or after.
        """
        return self._held_where({"_id": user, "address": {"$ne": address}}, session)

    def hold(self, user: ObjectId, session: Session = None) -> bool:
        """Whether there is such an account; it cannot be deleted before the transaction has ended."""
        return self._held_where({"_id": user}, session)

    def _held_where(self, wanted: Condition, session: Session) -> bool:
        held = self._collection.update_one(wanted, {"$inc": {"mallard.addressChanges": 1}}, session=session)
        return held.matched_count > 0

    def seeds(self, keys: KeyRing) -> Place:
        """Where the seeds of TOTP stand, for the rotation of the keys that encrypt them."""
        return Place("TOTP seeds", self._collection, ("seed", "pendingSeed"), keys)

    def count_audit(self, user: ObjectId, session: Session = None) -> None:
        """Note that an audit begins: a message that is being stored meanwhile comes before it or sees it."""
        self._collection.update_one({"_id": user}, {"$inc": {"mallard.audits": 1}}, session=session)

    def move_addresses(self, moves: Sequence[AddressMove], session: Session = None) -> int:
        """Give main addresses their new form, where they still have the old one; returns how many accounts changed.

        All of the accounts are held: a transaction that makes one of the addresses the main one has to wait.
        """
        if not moves:
            return 0
        self._collection.update_many(
            {"_id": {"$in": [move.user for move in moves]}},
            {"$inc": {"mallard.addressChanges": 1}},
            session=session,
        )
        changes = [
            UpdateOne({"_id": move.user, "address": move.old}, {"$set": {"address": move.new}})
            for move in moves
        ]
        return self._collection.bulk_write(changes, ordered=False, session=session).modified_count

    def remember_keys(self, user: ObjectId, given: Condition, known: OwnUserFields) -> None:
        """Keep what is known of an account's keys, if they are still the `given` ones."""
        own = {f"mallard.{name}": value for name, value in known.items()}
        self._collection.update_one({"_id": user, **given}, {"$set": own})

    def replace_hash(self, user: ObjectId, old: str, new: str) -> None:
        """Replace a password's hash by a better one of the same password, if it has not been changed meanwhile."""
        self._collection.update_one({"_id": user, "password": old}, {"$set": {"password": new}})

    def end_temporary(self, user: ObjectId, temporary: str) -> None:
        """Take away a temporary password by its hash, unless there is another one meanwhile."""
        wanted = {"_id": user, "tempPassword.password": temporary}
        self._collection.update_one(wanted, {"$set": {"tempPassword": False}})

    def note_breach(self, user: User, pwned: bool) -> None:
        """Remember whether a password is known from a breach, unless it was changed since `user` was read."""
        same = {"_id": user["_id"], "passwordChange": user.get("passwordChange")}
        self._collection.update_one(same, {"$set": {"lastPwnedCheck": self._clock(), "passwordPwned": pwned}})

    def note_login(self, user: ObjectId, event: ObjectId | None, ip: str | None) -> None:
        """Remember the last log-in."""
        login = {"time": self._clock(), "authEvent": event or False, "ip": ip or False}
        self._collection.update_one({"_id": user}, {"$set": {"lastLogin": login}})

    def reserve_storage(self, user: ObjectId, size: int, default_quota: int, session: Session = None) -> bool:
        """Add `size` bytes to what an account uses if its quota has room for them; whether it had."""
        quota = {"$cond": [{"$gt": ["$quota", 0]}, "$quota", default_quota]}
        fits = {"$lte": [{"$add": [{"$ifNull": ["$storageUsed", 0]}, size]}, quota]}
        changed = self._collection.update_one(
            {"_id": user, "$expr": fits}, {"$inc": {"storageUsed": size}}, session=session
        )
        return changed.modified_count > 0

    def release_storage(self, user: ObjectId, size: int, session: Session = None) -> None:
        """Take bytes off what an account uses; it never goes below nothing."""
        less = {"$max": [0, {"$subtract": [{"$ifNull": ["$storageUsed", 0]}, size]}]}
        self._collection.update_one({"_id": user}, [{"$set": {"storageUsed": less}}], session=session)
