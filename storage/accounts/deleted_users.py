"""Deleted accounts, kept with their addresses until their data go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from problems import DeletedAccountNotFound, FormerNameTaken, UserNotFound
from storage.accounts.tokens import Tokens
from storage.base.database import Clock, Databases, Document, Transactions
from storage.base.tasks import Tasks
from storage.events.events import Events

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

    def shown(self, user: ObjectId) -> Document:
        """As the API and events have it."""
        addresses = {"deleted": self.addresses}
        return {"user": user, "addresses": addresses, "deleteAfter": self.due, "task": self.task}


@dataclass(frozen=True, slots=True)
class Restoration:
    """What a restore did: the task it took back, if any, the addresses that came back, the main one or empty."""

    task: ObjectId | None
    addresses: list[str]
    main: str

    def shown(self, user: ObjectId) -> Document:
        """As the API and events have it; what there is not is left out."""
        main = {"main": self.main} if self.main else {}
        task = {"task": self.task} if self.task else {}
        return {"user": user, **task, "addresses": {"recovered": len(self.addresses), **main}}


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
        events: Events,
    ) -> None:
        self._collection = databases.users["deletedusers"]
        self._users = databases.users["users"]
        self._addresses = databases.users["addresses"]
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

    def _soft_delete(self, user: ObjectId, due: datetime | None, session: ClientSession | None) -> Deletion:
        """The task comes last: it does nothing to an account that is still there."""
        document = self._users.find_one({"_id": user}, session=session)
        if document:
            self._keep(document, due, session)
        elif not self._reschedule(user, due, session):
            raise UserNotFound
        deleted = self._addresses.delete_many({"user": user}, session=session).deleted_count
        self._users.delete_one({"_id": user}, session=session)
        self._tokens.clear(user, session=session)
        task = self._tasks.ensure(TASK, {"data.user": user}, {"user": user}, due, session)
        burial = Deletion(deleted, task, due or self._clock())
        self._events.emit("user.delete.started", user=user, session=session, result=burial.shown(user))
        return burial

    def _keep(self, document: Document, due: datetime | None, session: ClientSession | None) -> None:
        """A step that failed half-way left its addresses in the older entry."""
        older = self._collection.find_one(
            {"_id": document["_id"]}, {"deleteInfo.addresses": 1}, session=session
        )
        kept = {row["_id"]: row for row in older["deleteInfo"]["addresses"]} if older else {}
        rows = self._addresses.find({"user": document["_id"]}, session=session)
        kept.update({row["_id"]: row for row in rows})
        info: Document = {
            "deletedAt": self._clock(),
            "mainAddress": document.get("address") or "",
            "addresses": list(kept.values()),
            **({"deleteAfter": due} if due else {}),
        }
        entry = {**document, "deleteInfo": info}
        self._collection.replace_one({"_id": document["_id"]}, entry, upsert=True, session=session)

    def _reschedule(self, user: ObjectId, due: datetime | None, session: ClientSession | None) -> bool:
        name = "deleteInfo.deleteAfter"
        change = {"$set": {name: due}} if due else {"$unset": {name: ""}}
        return self._collection.update_one({"_id": user}, change, session=session).matched_count > 0

    def get(self, user: ObjectId, session: ClientSession | None = None) -> Document:
        """A deleted account. Raises DeletedAccountNotFound."""
        found = self._collection.find_one({"_id": user}, max_time_ms=_READ_MS, session=session)
        if not found:
            raise DeletedAccountNotFound
        return found

    def free_addresses(self, entry: Document, session: ClientSession | None = None) -> list[Document]:
        """The saved addresses that nobody else has by now, in one query."""
        saved: list[Document] = entry["deleteInfo"].get("addresses") or []
        wanted = {"addrview": {"$in": [row["addrview"] for row in saved]}, "user": {"$ne": entry["_id"]}}
        rows = self._addresses.find(wanted, {"addrview": 1, "_id": 0}, session=session)
        taken = {row["addrview"] for row in rows}
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

    def _restore(self, user: ObjectId, session: ClientSession | None) -> Restoration:
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
        for row in addresses:
            self._addresses.replace_one({"_id": row["_id"]}, row, upsert=True, session=session)
        self._collection.delete_one({"_id": user}, session=session)
        revival = Restoration(task, [row["address"] for row in addresses], main)
        self._events.emit("user.delete.cancelled", user=user, session=session, result=revival.shown(user))
        return revival

    def _insert_user(self, entry: Document, main: str, session: ClientSession | None) -> None:
        """Before its addresses: without an account they would belong to nobody.

        Where it is there already, a deletion or a restore broke off half-way.
        """
        user = entry["_id"]
        if self._users.update_one({"_id": user}, {"$set": {"address": main}}, session=session).matched_count:
            return
        document = {name: value for name, value in entry.items() if name != "deleteInfo"}
        document.update(address=main, authVersion=int(entry.get("authVersion") or 0) + 1)
        try:
            self._users.insert_one(document, session=session)
        except DuplicateKeyError as error:
            raise FormerNameTaken from error

    def exists(self, user: ObjectId) -> bool:
        """Whether an account is deleted and its data are not all gone."""
        return self._collection.find_one({"_id": user}, {"_id": 1}, max_time_ms=_READ_MS) is not None

    def remove(self, user: ObjectId, gone: Document) -> None:
        """Forget a deleted account, from here on it cannot be restored; and tell what is `gone`, once."""
        self._events.in_transaction(user, lambda session: self._remove(user, gone, session))

    def _remove(self, user: ObjectId, gone: Document, session: ClientSession | None) -> None:
        if self._collection.delete_one({"_id": user}, session=session).deleted_count:
            self._events.emit("user.delete.completed", user=user, session=session, result=gone)
