"""Accounts."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from problems import Problem
from security.normalise import sorted_tags, username_view, view
from storage.counters import NAME as COUNTERS
from storage.database import Clock, Databases, Document
from storage.heldnames import HeldNames
from storage.listing import common_conditions
from storage.paging import Order, Page, Paging, read_page
from storage.patterns import literal

_READ_MS = 3000
LIMIT_FIELDS = (
    "quota", "recipients", "forwards", "filters", "imapMaxUpload", "imapMaxDownload", "pop3MaxDownload",
    "pop3MaxMessages", "imapMaxConnections", "receivedMax",
)  # fmt: skip
COUNTER_OF = {
    "recipients": "wdr", "forwards": "wdf", "receivedMax": "rl:rcpt", "imapMaxUpload": "iup",
    "imapMaxDownload": "idw", "pop3MaxDownload": "pdw",
}  # fmt: skip
_JSON_FIELDS = ("metaData", "internalData")
_SECRETS = ("password", "tempPassword", "oldPasswords", "seed", "pendingSeed", "webauthn")

_LISTED = dict.fromkeys(
    (
        "username", "name", "address", "tags", "targets", "enabled2fa", "autoreply", "encryptMessages",
        "encryptForwarded", "quota", "storageUsed", "activated", "disabled", "suspended", "metaData", "internalData",
    ),
    1,
)  # fmt: skip
_HAS_PASSWORD: Document = {
    "$or": [
        {"$gt": [{"$ifNull": ["$password", ""]}, ""]},
        {"$gt": [{"$ifNull": ["$tempPassword.password", ""]}, ""]},
    ]
}


class Users:
    """Repository of accounts."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.users["users"]
        self._filters = "filters"
        self._same_database = databases.users.name == databases.main.name
        self._main = databases.main
        self._held = HeldNames(databases, clock)
        self._clock = clock

    def create(self, username: str, fields: Document, session: ClientSession | None = None) -> Document:
        """Insert an account with what it starts with. Raises Problem UserExistsError."""
        document = {**_initial(self._clock()), **stored_fields(fields)}
        document.update(_id=ObjectId(), username=username, unameview=view(username))
        if self._held.has_username(document["unameview"], session):
            raise Problem("UserExistsError")
        try:
            self._collection.insert_one(document, session=session)
        except DuplicateKeyError as error:
            raise Problem("UserExistsError") from error
        return document

    def discard(self, user: ObjectId) -> None:
        """Take back an account just made, where the server has no transaction to do so."""
        self._collection.delete_one({"_id": user})

    def find(self, user: ObjectId) -> Document | None:
        """An account's document, None where there is none."""
        return self._collection.find_one({"_id": user}, max_time_ms=_READ_MS)

    def get(
        self,
        user: ObjectId,
        projection: Mapping[str, Any] | None = None,
        session: ClientSession | None = None,
    ) -> Document:
        """An account's document. Raises Problem UserNotFound."""
        found = self._collection.find_one({"_id": user}, projection, max_time_ms=_READ_MS, session=session)
        if not found:
            raise Problem("UserNotFound")
        return found

    def require(self, user: ObjectId) -> None:
        """Raises Problem UserNotFound where there is no such account."""
        self.get(user, {"_id": 1})

    def exists(self, user: ObjectId) -> bool:
        """Whether there is such an account."""
        return self._collection.find_one({"_id": user}, {"_id": 1}, max_time_ms=_READ_MS) is not None

    def active(self, users: Collection[ObjectId]) -> set[ObjectId]:
        """Those of some accounts that are there and neither disabled nor suspended."""
        wanted = {"_id": {"$in": list(users)}, "disabled": {"$ne": True}, "suspended": {"$ne": True}}
        return {row["_id"] for row in self._collection.find(wanted, {"_id": 1}, max_time_ms=_READ_MS)}

    def by_username(self, username: str) -> Document | None:
        """The account with this user name, dots being of no importance."""
        return self._collection.find_one({"unameview": username_view(username)}, max_time_ms=_READ_MS)

    def id_of(self, username: str) -> ObjectId:
        """The id of the account with this user name. Raises Problem UserNotFound."""
        wanted = {"unameview": username_view(username)}
        found = self._collection.find_one(wanted, {"_id": 1}, max_time_ms=_READ_MS)
        if not found:
            raise Problem("UserNotFound")
        return ObjectId(found["_id"])

    def summary(self, user: ObjectId) -> Document:
        """An account without its secrets, with `hasPassword`, `counters` and `filterCount`, in one query.

        Raises Problem UserNotFound.
        """
        pipeline: list[Document] = [
            {"$match": {"_id": user}},
            {"$set": {"hasPassword": _HAS_PASSWORD, "tempCreated": "$tempPassword.created"}},
            {"$unset": list(_SECRETS)},
        ]
        if self._same_database:
            pipeline += self._lookups(user)
        for row in self._collection.aggregate(pipeline, maxTimeMS=_READ_MS):
            return row if self._same_database else {**row, **self._apart(user)}
        raise Problem("UserNotFound")

    def _lookups(self, user: ObjectId) -> list[Document]:
        count = [{"$match": {"user": user}}, {"$count": "n"}]
        return [
            {"$lookup": {"from": COUNTERS, "pipeline": [{"$match": self._running(user)}], "as": "counters"}},
            {"$lookup": {"from": self._filters, "pipeline": count, "as": "filterCount"}},
            {"$set": {"filterCount": {"$ifNull": [{"$first": "$filterCount.n"}, 0]}}},
        ]

    def _apart(self, user: ObjectId) -> Document:
        """The same where accounts have a database of their own."""
        counters = list(self._main[COUNTERS].find(self._running(user)))
        return {
            "counters": counters,
            "filterCount": self._main[self._filters].count_documents({"user": user}),
        }

    def _running(self, user: ObjectId) -> Document:
        keys = [f"{name}:{user}" for name in COUNTER_OF.values()]
        return {"_id": {"$in": keys}, "expires": {"$gt": self._clock()}}

    def page(self, wanted: Document, paging: Paging) -> tuple[Page, int]:
        """A page of accounts by id, and how many there are. `wanted` comes from `listing_filter`."""
        total = (
            self._collection.count_documents(wanted, maxTimeMS=_READ_MS)
            if wanted
            else self._collection.estimated_document_count()
        )

        def read(condition: Document, sort: dict[str, int], limit: int) -> list[Document]:
            pipeline: list[Document] = [
                {"$match": {"$and": [wanted, condition]}},
                {"$sort": sort},
                {"$limit": limit},
                {"$project": {**_LISTED, "hasPassword": _HAS_PASSWORD}},
            ]
            return list(self._collection.aggregate(pipeline, maxTimeMS=_READ_MS))

        return read_page(read, paging, Order()), total

    def update(
        self,
        user: ObjectId,
        fields: Document,
        *,
        more: Document | None = None,
        unset: tuple[str, ...] = (),
        increase: Document | None = None,
        push: Document | None = None,
        session: ClientSession | None = None,
    ) -> None:
        """Change an account in one step. Raises Problem UserNotFound."""
        change: Document = {"$set": {**stored_fields(fields), **(more or {})}}
        if unset:
            change["$unset"] = dict.fromkeys(unset, "")
        if increase:
            change["$inc"] = increase
        if push:
            change["$push"] = push
        change = {operator: values for operator, values in change.items() if values}
        if not change:
            return self.require(user)
        if not self._collection.update_one({"_id": user}, change, session=session).matched_count:
            raise Problem("UserNotFound")
        return None

    def set_address(
        self,
        user: ObjectId,
        address: str,
        *,
        only_if_none: bool = False,
        session: ClientSession | None = None,
    ) -> None:
        """Make an address the main one; with `only_if_none` unless there is one already."""
        wanted: Document = {"_id": user}
        if only_if_none:
            wanted["address"] = {"$in": ["", None]}
        self._collection.update_one(wanted, {"$set": {"address": address}}, session=session)

    def hold_unless_main(self, user: ObjectId, address: str, session: ClientSession | None = None) -> bool:
        """Whether an address is not the main one; it can not become so before the transaction has ended.

        The account is written to: a transaction that makes the address the main one runs before this one or after.
        """
        wanted = {"_id": user, "address": {"$ne": address}}
        held = self._collection.update_one(wanted, {"$inc": {"mallard.addressChanges": 1}}, session=session)
        return held.matched_count > 0

    def remember_keys(self, user: ObjectId, given: Document, known: Document) -> None:
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

    def note_breach(self, user: Document, pwned: bool) -> None:
        """Remember whether a password is known from a breach, unless it was changed since `user` was read."""
        same = {"_id": user["_id"], "passwordChange": user.get("passwordChange")}
        self._collection.update_one(same, {"$set": {"lastPwnedCheck": self._clock(), "passwordPwned": pwned}})

    def note_login(self, user: ObjectId, event: ObjectId | None, ip: str | None) -> None:
        """Remember the last log-in."""
        login = {"time": self._clock(), "authEvent": event or False, "ip": ip or False}
        self._collection.update_one({"_id": user}, {"$set": {"lastLogin": login}})

    def reserve_storage(
        self, user: ObjectId, size: int, default_quota: int, session: ClientSession | None = None
    ) -> bool:
        """Add `size` bytes to what an account uses if its quota has room for them; whether it had."""
        quota = {"$cond": [{"$gt": ["$quota", 0]}, "$quota", default_quota]}
        fits = {"$lte": [{"$add": [{"$ifNull": ["$storageUsed", 0]}, size]}, quota]}
        changed = self._collection.update_one(
            {"_id": user, "$expr": fits}, {"$inc": {"storageUsed": size}}, session=session
        )
        return changed.modified_count > 0

    def release_storage(self, user: ObjectId, size: int, session: ClientSession | None = None) -> None:
        """Take bytes off what an account uses; it never goes below nothing."""
        less = {"$max": [0, {"$subtract": [{"$ifNull": ["$storageUsed", 0]}, size]}]}
        self._collection.update_one({"_id": user}, [{"$set": {"storageUsed": less}}], session=session)


def listing_filter(fields: Document, own_only: ObjectId | None) -> Document:
    """The condition of a listing by `query`, `forward`, `tags` and `requiredTags`."""
    conditions: list[Document] = [{"_id": own_only}] if own_only else []
    if query := fields.get("query"):
        parts = {"address": literal(query), "unameview": literal(view(query))}
        conditions.append({"$or": [{name: {"$regex": text}} for name, text in parts.items()]})
    conditions += common_conditions(fields)
    return {"$and": conditions} if conditions else {}


def stored_fields(fields: Document) -> Document:
    """A request's fields as they stand on disk: tags beside their view, data as JSON, targets as documents."""
    stored = dict(fields)
    for name in _JSON_FIELDS:
        if isinstance(stored.get(name), dict):
            stored[name] = json.dumps(stored[name], separators=(",", ":"), ensure_ascii=False)
    if "tags" in stored:
        stored["tags"], stored["tagsview"] = sorted_tags(stored["tags"])
    if "targets" in stored:
        stored["targets"] = [stored_target(value) for value in stored["targets"]]
    if "mtaRelay" in stored:
        stored["mtaRelay"] = stored_target(stored["mtaRelay"]) if stored["mtaRelay"] else False
    return stored


def stored_target(value: str) -> Document:
    """A forwarding target as it stands on disk."""
    scheme = value.partition(":")[0].lower() if ":" in value else ""
    kinds = {"smtp": "relay", "smtps": "relay", "http": "http", "https": "http"}
    return {"id": ObjectId(), "type": kinds.get(scheme, "mail"), "value": value}


def _initial(now: datetime) -> Document:
    return {
        "name": None, "language": None, "address": "", "password": "", "authVersion": 1,
        "enabled2fa": [], "seed": "", "pendingSeed": "", "pendingSeedChanged": False, "webauthn": {"credentials": []},
        "require2faEnabled": False, "storageUsed": 0, **dict.fromkeys(LIMIT_FIELDS, 0), "targets": [],
        "autoreply": False, "uploadSentMessages": False, "pubKey": "", "smimeCerts": [], "smimeCipher": "AES-CBC",
        "smimeKeyTransport": "PKCS#1 v1.5", "encryptMessages": False, "encryptForwarded": False, "spamLevel": 50,
        "retention": 0, "disabledScopes": [], "metaData": "", "internalData": "", "featureFlags": {},
        "lastLogin": {"time": False, "authEvent": False, "ip": False},
        "activated": True, "disabled": False, "suspended": False, "created": now,
    }  # fmt: skip
