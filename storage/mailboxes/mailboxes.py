"""Mailboxes, their UIDs and modification sequences."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from problems import MailboxExists, MailboxNotFound, MailboxProtected, Problem
from storage.accounts.filters import Filters
from storage.base.database import (
    Change,
    Clock,
    Condition,
    Databases,
    Document,
    Session,
    delete_rows_of,
    holding,
)
from storage.events.documents import JournalEntry
from storage.events.events import Events
from storage.events.journal import Journal
from storage.events.notices import Notices
from storage.mailboxes.documents import Mailbox, MailboxSettings
from storage.mailboxes.names import checked_path, mailbox_names, normalize_path

_READ_MS = 3000
_THIRTY_DAYS_MS = 2_592_000_000
_SPARE_RETENTION = ("\\Trash", "\\Junk")


class Mailboxes:
    """Repository of mailboxes."""

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        journal: Journal,
        notices: Notices,
        events: Events,
        filters: Filters,
    ) -> None:
        self._collection = holding(databases.main["mailboxes"], Mailbox)
        self._filters = filters
        self._clock = clock
        self._journal = journal
        self._notices = notices
        self._events = events

    def create_defaults(
        self,
        user: ObjectId,
        language: str | None,
        names: Mapping[str, str],
        retention: float,
        session: Session = None,
    ) -> None:
        """The five mailboxes that an account starts with; Trash and Junk keep mail for 30 days at most."""
        paths: list[tuple[str | None, str]] = [(None, "INBOX"), *mailbox_names(language, names).items()]
        short = min(retention or _THIRTY_DAYS_MS, _THIRTY_DAYS_MS)
        rows: list[Mailbox] = [
            {
                **_fresh(user, path),
                "specialUse": use,
                "retention": short if use in _SPARE_RETENTION else retention,
            }
            for use, path in paths
        ]
        self._collection.insert_many(rows, session=session)

    def get(self, user: ObjectId, mailbox: ObjectId) -> Mailbox:
        """A mailbox of an account. Raises MailboxNotFound."""
        return self._one({"_id": mailbox, "user": user})

    def by_path(self, user: ObjectId, path: str) -> Mailbox:
        """The mailbox at a path, which may begin with a slash and name INBOX in any case. Raises MailboxNotFound."""
        return self._one({"user": user, "path": normalize_path(path)})

    def by_special_use(self, user: ObjectId, use: str) -> Mailbox:
        """The mailbox with a special use such as `\\Sent`. Raises MailboxNotFound."""
        return self._one({"user": user, "specialUse": use})

    def _one(self, condition: Condition) -> Mailbox:
        found = self._collection.find_one(condition, max_time_ms=_READ_MS)
        if not found:
            raise MailboxNotFound
        return found

    def of_user(self, user: ObjectId) -> list[Mailbox]:
        """All mailboxes of an account."""
        return list(self._collection.find({"user": user}, max_time_ms=_READ_MS))

    def some(self, user: ObjectId, mailboxes: Sequence[ObjectId]) -> list[Mailbox]:
        """The mailboxes with these ids that belong to the account."""
        return list(
            self._collection.find({"_id": {"$in": list(mailboxes)}, "user": user}, max_time_ms=_READ_MS)
        )

    def create(self, user: ObjectId, path: str, fields: MailboxSettings, limit: int) -> ObjectId:
        """Make a mailbox. Raises MailboxExists or MailboxProtected."""
        path = checked_path(path)
        document: Mailbox = {**_fresh(user, path), "retentionCounter": 0, **fields}
        self._allow_one_more(user, path, limit)
        self._events.in_transaction(user, lambda session: self._insert(document, session))
        self._keep_within(limit, document)
        return ObjectId(document["_id"])

    def _insert(self, mailbox: Mailbox, session: Session) -> None:
        user, mailbox_id, path = mailbox["user"], mailbox["_id"], mailbox["path"]
        try:
            self._collection.insert_one(mailbox, session=session)
        except DuplicateKeyError as error:
            raise MailboxExists from error
        entry: JournalEntry = {"command": "CREATE", "path": path, "modseq": 1}
        self._journal.append(user, mailbox_id, [entry], session)
        self._events.emit("mailbox.created", user=user, mailbox=mailbox_id, path=path, session=session)

    def _allow_one_more(self, user: ObjectId, path: str, limit: int) -> None:
        """WildDuck refuses a new one only when more than `limit` exist already; so do we."""
        if self._collection.count_documents({"user": user}, limit=limit + 2) > limit:
            existing = self._collection.find_one({"user": user, "path": path}, {"_id": 1})
            raise MailboxExists if existing else _too_many(limit)

    def _keep_within(self, limit: int, mailbox: Mailbox) -> None:
        """Remove a new mailbox if others were made at the same time. Counting after the insert lets none slip past."""
        count = self._collection.count_documents({"user": mailbox["user"]}, limit=limit + 2)
        if count > limit + 1:
            self._events.in_transaction(mailbox["user"], lambda session: self._remove(mailbox, session))
            raise _too_many(limit)

    def update(
        self, mailbox: Mailbox, path: str | None, fields: MailboxSettings, session: Session = None
    ) -> int | None:
        """Rename a mailbox and set what differs; its new `retentionCounter`, None where its retention stays.

        Raises MailboxExists, MailboxProtected or MailboxNotFound.
        """
        changes = {name: value for name, value in fields.items() if mailbox.get(name) != value}
        new_path = checked_path(path) if path is not None else mailbox["path"]
        if new_path != mailbox["path"]:
            _allow_rename(mailbox)
            changes["path"] = new_path
        if not changes:
            return None
        if session:
            return self._change(mailbox, changes, session)
        return self._events.in_transaction(
            mailbox["user"], lambda session: self._change(mailbox, changes, session)
        )

    def _change(self, mailbox: Mailbox, changes: Change, session: Session) -> int | None:
        change: Document = {"$set": changes}
        if dates := changes_retention(mailbox, changes):
            change["$inc"] = {"retentionCounter": 1}
        after = self._write(mailbox, change, session)
        if path := changes.get("path"):
            user, mailbox_id = mailbox["user"], mailbox["_id"]
            entry: JournalEntry = {"command": "RENAME", "path": path, "modseq": after["modifyIndex"]}
            self._journal.append(user, mailbox_id, [entry], session=session)
            about = {"mailbox": mailbox_id, "previous": mailbox["path"], "current": path}
            self._events.emit("mailbox.renamed", user=user, session=session, **about)
        return int(after["retentionCounter"]) if dates else None

    def _write(self, mailbox: Mailbox, change: Change, session: Session) -> Mailbox:
        wanted = {"_id": mailbox["_id"], "user": mailbox["user"]}
        shown = {"modifyIndex": 1, "retentionCounter": 1}
        try:
            found = self._collection.find_one_and_update(
                wanted, change, shown, return_document=ReturnDocument.AFTER, session=session
            )
        except DuplicateKeyError as error:
            raise MailboxExists from error
        if not found:
            raise MailboxNotFound
        return found

    def retention(self, user: ObjectId, mailbox: ObjectId) -> tuple[int, int] | None:
        """How often a mailbox's retention was changed, and what it is, in milliseconds; None for one that is gone."""
        found = self._collection.find_one(
            {"_id": mailbox, "user": user}, {"retention": 1, "retentionCounter": 1}, max_time_ms=_READ_MS
        )
        if not found:
            return None
        return int(found.get("retentionCounter") or 0), int(found.get("retention") or 0)

    def allow_delete(self, mailbox: Mailbox) -> None:
        """Raises MailboxProtected for one that must stay."""
        if mailbox["path"] == "INBOX" or mailbox.get("specialUse") or mailbox.get("hidden"):
            raise MailboxProtected("INBOX, special-use and hidden mailboxes cannot be deleted")

    def delete(self, mailbox: Mailbox, session: Session = None) -> None:
        """Remove a mailbox and the filters that file into it. Raises MailboxProtected."""
        self.allow_delete(mailbox)
        self._remove(mailbox, session)

    def _remove(self, mailbox: Mailbox, session: Session) -> None:
        user, mailbox_id = mailbox["user"], mailbox["_id"]
        self._collection.delete_one({"_id": mailbox_id, "user": user}, session=session)
        self._filters.delete_of_mailbox(user, mailbox_id, session)
        self._notices.drop(user, mailbox_id, session=session)
        entry: JournalEntry = {"command": "DELETE", "modseq": mailbox["modifyIndex"]}
        self._journal.append(user, mailbox_id, [entry], session=session)
        about = {"mailbox": mailbox_id, "path": mailbox["path"]}
        self._events.emit("mailbox.deleted", user=user, session=session, **about)

    def delete_some(self, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` mailboxes of a deleted account, and return how many there were."""
        return delete_rows_of(self._collection, user, limit)

    def allocate(
        self,
        mailbox: ObjectId,
        *,
        uids: int = 0,
        total: int = 0,
        unseen: int = 0,
        session: Session = None,
    ) -> Mailbox:
        """Take one modification sequence and `uids` UIDs, and move the counts, in one step.

        Returns the mailbox before the change: the UIDs begin at its `uidNext`, the sequence is `modifyIndex` + 1.
        Raises MailboxNotFound.
        """
        change = {
            "uidNext": uids,
            "modifyIndex": 1,
            "counted.modseq": 1,
            "counted.total": total,
            "counted.unseen": unseen,
        }
        found = self._collection.find_one_and_update(
            {"_id": mailbox}, {"$inc": change}, return_document=ReturnDocument.BEFORE, session=session
        )
        if not found:
            raise MailboxNotFound
        return found


def changes_retention(mailbox: Mailbox, fields: Mapping[str, Any]) -> bool:
    """Return whether these fields change a mailbox's retention; every form of no retention counts as 0."""
    before = mailbox.get("retention") or 0
    return bool((fields.get("retention", before) or 0) != before)


def _fresh(user: ObjectId, path: str) -> Mailbox:
    return {
        "_id": ObjectId(),
        "user": user,
        "path": path,
        "uidValidity": int(time.time()),
        "uidNext": 1,
        "modifyIndex": 1,
        "subscribed": True,
        "flags": [],
        "counted": {"total": 0, "unseen": 0, "modseq": 1, "since": 1},
    }


def _too_many(limit: int) -> Problem:
    return MailboxProtected(f"An account has {limit} mailboxes at most")


def _allow_rename(mailbox: Mapping[str, Any]) -> None:
    if mailbox["path"] == "INBOX" or mailbox.get("hidden"):
        raise MailboxProtected("INBOX and hidden mailboxes cannot be renamed")
