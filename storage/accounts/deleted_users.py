"""Deleted accounts, kept with their addresses until their data go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

import structlog
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from problems import DeletedAccountNotFound, FormerNameTaken, UserNotFound
from security.secrets import KeyRing
from storage.accounts.documents import DeletedUser, DeleteInfo, User
from storage.accounts.tokens import Tokens
from storage.addresses.addresses import Addresses
from storage.addresses.documents import Address
from storage.base.database import Clock, Databases, Session, Transactions, holding
from storage.base.tasks import Tasks
from storage.events.events import Events
from storage.keys.sealed import Place

log = structlog.get_logger()

TASK = "user-delete"
_TRIES = 5
_READ_MS = 3000


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion did: how many addresses went, the task that removes the data, and from when on it may."""

    addresses: int
    task: ObjectId
    due: datetime

    def as_api(self, user: ObjectId) -> dict[str, Any]:
        """Return it as the API and events show it."""
        addresses = {"deleted": self.addresses}
        return {"user": user, "addresses": addresses, "deleteAfter": self.due, "task": self.task}


@dataclass(frozen=True, slots=True)
class Restoration:
    """What a restore did: the task it took back, if any, the addresses that came back, the main one or empty."""

    task: ObjectId | None
    addresses: list[str]
    main: str

    def as_api(self, user: ObjectId) -> dict[str, Any]:
        """Return it as the API and events show it; what does not apply is left out."""
        main = {"main": self.main} if self.main else {}
        task = {"task": self.task} if self.task else {}
        return {"user": user, **task, "addresses": {"recovered": len(self.addresses), **main}}


class Belonging(Protocol):
    """A repository of a collection that holds nothing but rows of accounts."""

    def delete_some(self, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` rows of an account, and return how many there were."""
        ...


class Belongings:
    """Removes what is left of deleted accounts, kind by kind, in the order of `kinds`.

    Not here: messages and archived ones, which give attachments back; files; hooks, which hear that the account is
    gone; the security log, the journal, notices and counters, which expire; audits, which the law may ask for.
    """

    def __init__(self, repositories: Mapping[str, Belonging]) -> None:
        self._repositories = repositories
        self.kinds = tuple(repositories)

    def delete_some(self, kind: str, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` rows of one of `kinds`, and return how many there were."""
        return self._repositories[kind].delete_some(user, limit)


class DeletedUsers:
    """Repository of deleted accounts. Without transactions a step that broke off can be repeated.

    `deleteInfo.deleteAfter` is of our own: until then nobody else gets the names.
    """

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        transactions: Transactions,
        tasks: Tasks,
        tokens: Tokens,
        addresses: Addresses,
        events: Events,
    ) -> None:
        self._collection = holding(databases.users["deletedusers"], DeletedUser)
        self._users = holding(databases.users["users"], User)
        self._addresses = addresses
        self._clock = clock
        self._transactions = transactions
        self._tasks = tasks
        self._tokens = tokens
        self._events = events

    def soft_delete(self, user: ObjectId, due: datetime | None) -> Deletion:
        """Delete an account, its addresses and sessions; its data go at `due`, or at once.

        One that is deleted already gets the new time. Raises UserNotFound.
        """
        return self._transactions.run(lambda session: self._soft_delete(user, due, session))

    def _soft_delete(self, user: ObjectId, due: datetime | None, session: Session) -> Deletion:
        """The task comes last: it does nothing to an account that is still there."""
        document = self._users.find_one({"_id": user}, session=session)
        if document:
            self._keep(document, due, session)
        elif not self._reschedule(user, due, session):
            raise UserNotFound
        deleted = self._addresses.delete_of_user(user, session)
        self._users.delete_one({"_id": user}, session=session)
        self._tokens.clear(user, session=session)
        task = self._tasks.ensure(TASK, {"data.user": user}, {"user": user}, due, session)
        deletion = Deletion(deleted, task, due or self._clock())
        self._events.emit("user.delete.started", user=user, session=session, result=deletion.as_api(user))
        return deletion

    def _keep(self, document: User, due: datetime | None, session: Session) -> None:
        """A step that failed half-way left its addresses in the older entry."""
        older = self._collection.find_one(
            {"_id": document["_id"]}, {"deleteInfo.addresses": 1}, session=session
        )
        kept = {row["_id"]: row for row in older["deleteInfo"]["addresses"]} if older else {}
        kept.update({row["_id"]: row for row in self._addresses.rows_of_user(document["_id"], session)})
        info: DeleteInfo = {
            "deletedAt": self._clock(),
            "mainAddress": document.get("address") or "",
            "addresses": list(kept.values()),
            **({"deleteAfter": due} if due else {}),
        }
        entry: DeletedUser = {**document, "deleteInfo": info}
        self._collection.replace_one({"_id": document["_id"]}, entry, upsert=True, session=session)

    def _reschedule(self, user: ObjectId, due: datetime | None, session: Session) -> bool:
        name = "deleteInfo.deleteAfter"
        change = {"$set": {name: due}} if due else {"$unset": {name: ""}}
        return self._collection.update_one({"_id": user}, change, session=session).matched_count > 0

    def get(self, user: ObjectId, session: Session = None) -> DeletedUser:
        """A deleted account. Raises DeletedAccountNotFound."""
        found = self._collection.find_one({"_id": user}, max_time_ms=_READ_MS, session=session)
        if not found:
            raise DeletedAccountNotFound
        return found

    def free_addresses(self, entry: DeletedUser, session: Session = None) -> list[Address]:
        """The saved addresses that nobody else has by now, in one query."""
        saved = entry["deleteInfo"].get("addresses") or []
        views = [row["addrview"] for row in saved]
        taken = self._addresses.taken_by_others(views, entry["_id"], session)
        return [row for row in saved if row["addrview"] not in taken]

    def restore(self, user: ObjectId) -> Restoration:
        """Bring an account back, with the addresses that are free; its old sessions do not come back.

        Raises Problem: DeletedAccountNotFound, FormerNameTaken, DeleteInProgress.
        """
        for _ in range(_TRIES):
            try:
                return self._transactions.run(lambda session: self._restore(user, session))
            except DuplicateKeyError:
                log.info("an address was taken while its account came back", user=str(user))
        raise RuntimeError("addresses are taken faster than an account can come back")

    def _restore(self, user: ObjectId, session: Session) -> Restoration:
        entry = self.get(user, session)
        task = self._tasks.withdraw(TASK, user, session)
        addresses = self.free_addresses(entry, session)
        names = [row["address"] for row in addresses if "*" not in row["address"]]
        saved = entry["deleteInfo"].get("mainAddress") or ""
        main = saved if saved in names else (names[0] if names else "")
        try:
            self._insert_user(entry, main, session)
        except FormerNameTaken:
            if session is None and task:
                self._tasks.add(TASK, {"user": user}, entry["deleteInfo"].get("deleteAfter"))
            raise
        self._addresses.put_back(addresses, session)
        self._collection.delete_one({"_id": user}, session=session)
        restoration = Restoration(task, [row["address"] for row in addresses], main)
        self._events.emit(
            "user.delete.cancelled", user=user, session=session, result=restoration.as_api(user)
        )
        return restoration

    def _insert_user(self, entry: DeletedUser, main: str, session: Session) -> None:
        """Before its addresses: without an account they would belong to nobody.

        Where it is there already, a deletion or a restore broke off half-way.
        """
        user = entry["_id"]
        if self._users.update_one({"_id": user}, {"$set": {"address": main}}, session=session).matched_count:
            return
        document = cast("User", {name: value for name, value in entry.items() if name != "deleteInfo"})
        document["address"] = main
        document["authVersion"] = int(entry.get("authVersion") or 0) + 1
        try:
            self._users.insert_one(document, session=session)
        except DuplicateKeyError as error:
            raise FormerNameTaken from error

    def seeds(self, keys: KeyRing) -> Place:
        """Where the seeds of TOTP stand, for the rotation of the keys that encrypt them."""
        return Place("TOTP seeds of deleted accounts", self._collection, ("seed", "pendingSeed"), keys)

    def exists(self, user: ObjectId) -> bool:
        """Return whether an account is deleted and its data are not all gone."""
        return self._collection.find_one({"_id": user}, {"_id": 1}, max_time_ms=_READ_MS) is not None

    def remove(self, user: ObjectId, gone: Mapping[str, Any]) -> None:
        """Forget a deleted account, from here on it cannot be restored; and tell what is `gone`, once."""
        self._events.in_transaction(user, lambda session: self._remove(user, gone, session))

    def _remove(self, user: ObjectId, gone: Mapping[str, Any], session: Session) -> None:
        if self._collection.delete_one({"_id": user}, session=session).deleted_count:
            self._events.emit("user.delete.completed", user=user, session=session, result=gone)
