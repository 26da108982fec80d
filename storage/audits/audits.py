"""Audits: of an account's mail, what is there and what is still to come, copies are kept until the audit expires.

A message and its copies come about in one transaction. Making an audit changes the account's document as storing a
message does, so the two never pass each other by: a message is either stored before, and the job finds it, or after,
and its storing finds the audit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from problems import AuditNotFound, InvalidInput, UserNotFound
from storage.accounts.users import Users
from storage.audits.files import AuditFiles
from storage.audits.metadata import metadata_of
from storage.base.database import (
    Clock,
    Databases,
    Document,
    Session,
    Transactions,
)
from storage.base.tasks import Tasks

TASK = "audit"
_READ_MS = 10_000
_MOST_NOTED = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something with an audit: the name and the role of the token, and the labels that came with it."""

    name: str
    role: str
    sess: str | None = None
    ip: str | None = None

    def noted(self, action: str, now: datetime) -> Document:
        labels = {name: value for name, value in (("sess", self.sess), ("ip", self.ip)) if value}
        return {"action": action, "time": now, "by": self.name, "role": self.role, **labels}


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when messages are audited; `False` or None for no limit, as it was given."""

    start: datetime | bool | None = None
    end: datetime | bool | None = None

    def covers(self, date: datetime) -> bool:
        after = not isinstance(self.start, datetime) or self.start <= date
        return after and (not isinstance(self.end, datetime) or date <= self.end)


class Audits:
    """Repository of audits. What was done with one stands in its `mallard.history`."""

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        transactions: Transactions,
        tasks: Tasks,
        files: AuditFiles,
        users: Users,
    ) -> None:
        self._collection = databases.main["audits"]
        self._mailboxes = databases.main["mailboxes"]
        self._users = users
        self._traces = (
            (databases.users["users"], "_id"),
            (databases.users["deletedusers"], "_id"),
            (databases.main["messages"], "user"),
            (databases.main["archived"], "user"),
        )
        self._clock = clock
        self._transactions = transactions
        self._tasks = tasks
        self._files = files

    def create(
        self, user: ObjectId, span: Span, expires: datetime, notes: str | None, meta: Document, actor: Actor
    ) -> ObjectId:
        """Start an audit, and the task that copies what is there; its id.

        Raises UserNotFound where nothing is left of the account, not even deleted mail, and InvalidInput.
        """
        if not _is_storable(meta):
            raise InvalidInput({"meta": '"meta" has a key or a number that cannot be stored'})
        if not self._is_known(user):
            raise UserNotFound
        audit: Document = {
            "_id": ObjectId(),
            "user": user,
            "start": span.start,
            "end": span.end,
            "expires": expires,
            "deleted": False,
            "notes": notes,
            "meta": meta,
            "import": {"status": "queued", "failed": 0, "copied": 0},
            "audited": 0,
            "lastAuditedMessage": None,
            "mallard": {"history": [actor.noted("create", self._clock())]},
        }
        self._transactions.run(lambda session: self._begin(audit, session))
        return ObjectId(audit["_id"])

    def _is_known(self, user: ObjectId) -> bool:
        return any(
            collection.find_one({field: user}, {"_id": 1}, max_time_ms=_READ_MS)
            for collection, field in self._traces
        )

    def _begin(self, audit: Document, session: Session) -> None:
        """The account first, as messages change it, too. A failure leaves no audit that its maker does not know of."""
        self._users.count_audit(audit["user"], session)
        self._collection.insert_one(audit, session=session)
        data = {"audit": audit["_id"], **{name: audit[name] for name in ("user", "start", "end")}}
        try:
            self._tasks.add(TASK, data, session=session)
        except Exception:
            if session is None:
                self._collection.delete_one({"_id": audit["_id"]})
            raise

    def get(self, audit: ObjectId) -> Document:
        """An audit. Raises AuditNotFound."""
        found = self._collection.find_one({"_id": audit}, max_time_ms=_READ_MS)
        if not found:
            raise AuditNotFound
        return found

    def all(self, most: int = 1000) -> list[Document]:
        """The newest audits."""
        return list(self._collection.find({}, {"meta": 0}).sort("_id", -1).limit(most))

    def note(self, audit: ObjectId, action: str, actor: Actor) -> None:
        """Keep in mind what somebody did with an audit."""
        entry = {"$each": [actor.noted(action, self._clock())], "$slice": -_MOST_NOTED}
        self._collection.update_one({"_id": audit}, {"$push": {"mallard.history": entry}})

    def capture(self, message: Mapping[str, Any], raw: bytes, session: Session) -> list[ObjectId]:
        """Copy a message that is being stored, as it is stored, into the audits that run; their ids.

        Also one that a filter drops: such a message has no `mailbox`. One look into an index where there is no audit.
        """
        now = self._clock()
        wanted = {"user": message["user"], "expires": {"$gt": now}, "deleted": False}
        found = self._collection.find(wanted, {"start": 1, "end": 1}, session=session)
        running = [row["_id"] for row in found.hint("user_expire_time") if _span(row).covers(now)]
        if not running:
            return []
        path = self.paths([message["mailbox"]], session) if "mailbox" in message else {}
        return [audit for audit in running if self._copy(audit, message, raw, path, session)]

    def _copy(
        self,
        audit: ObjectId,
        message: Mapping[str, Any],
        raw: bytes,
        paths: Mapping[ObjectId, str],
        session: Session,
    ) -> bool:
        if not self.count(audit, 1, session=session):
            return False
        self._files.write(metadata_of(audit, message, paths), [raw], session)
        return True

    def forget(self, audits: Collection[ObjectId], message: ObjectId) -> None:
        """Take copies back whose message could not be stored; for servers without transactions."""
        for audit in audits:
            self._files.forget(audit, message)
            self._collection.update_one({"_id": audit}, {"$inc": {"audited": -1}})

    def paths(self, mailboxes: Collection[ObjectId], session: Session = None) -> dict[ObjectId, str]:
        """The paths of mailboxes that there are."""
        rows = self._mailboxes.find({"_id": {"$in": list(mailboxes)}}, {"path": 1}, session=session)
        return {row["_id"]: row["path"] for row in rows}

    def count(self, audit: ObjectId, copies: int, *, imported: bool = False, session: Session = None) -> bool:
        """Count copies; whether the audit still runs. In the step that makes them, so that its end sees all of them."""
        now = self._clock()
        more = {"audited": copies, **({"import.copied": copies} if imported else {})}
        running = {"_id": audit, "deleted": False, "expires": {"$gt": now}}
        change = {"$inc": more, "$set": {"lastAuditedMessage": now}}
        return self._collection.update_one(running, change, session=session).matched_count > 0

    def running(self, audit: ObjectId) -> Document | None:
        """An audit that has not expired."""
        wanted = {"_id": audit, "deleted": False, "expires": {"$gt": self._clock()}}
        return self._collection.find_one(wanted, max_time_ms=_READ_MS)

    def note_import(self, audit: ObjectId, status: str, failed: int | None = None) -> None:
        """Note how the copying of what was there gets on: `importing`, `imported` or `failed`."""
        change: Document = {"import.status": status}
        if failed is not None:
            change["import.failed"] = failed
        self._collection.update_one({"_id": audit}, {"$set": change})

    def expired(self, most: int, but: Collection[ObjectId] = ()) -> list[ObjectId]:
        """Audits whose time is over and whose copies are still there."""
        wanted = {"expires": {"$lte": self._clock()}, "deleted": False, "_id": {"$nin": list(but)}}
        rows = self._collection.find(wanted, {"_id": 1}, max_time_ms=_READ_MS).hint("expire_time")
        return [row["_id"] for row in rows.limit(most)]

    def close(self, audit: ObjectId) -> bool:
        """Note that the copies of an expired audit are gone; whether they are."""
        return self._transactions.run(lambda session: self._close(audit, session))

    def _close(self, audit: ObjectId, session: Session) -> bool:
        if not self._files.is_empty(audit, session):
            return False
        change = {"$set": {"deleted": True, "deletedTime": self._clock()}}
        self._collection.update_one({"_id": audit, "deleted": False}, change, session=session)
        return True


def _is_storable(value: Any) -> bool:
    """Whether BSON can hold a value of JSON, and gives the same back: `$ref` and the like come back as others."""
    if isinstance(value, dict):
        return all(
            "\0" not in key and not key.startswith("$") and _is_storable(v) for key, v in value.items()
        )
    if isinstance(value, list):
        return all(map(_is_storable, value))
    return not isinstance(value, int) or abs(value) < 1 << 63


def _span(audit: Document) -> Span:
    return Span(audit.get("start"), audit.get("end"))


def listed(audit: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an audit as operators see it: with an `id`, and with a `history` of who did what with it."""
    fields = {name: value for name, value in audit.items() if name not in ("_id", "mallard")}
    return {"id": audit["_id"], **fields, "history": (audit.get("mallard") or {}).get("history") or []}
