"""Changing messages: flags and moves. Each takes one modification sequence and an entry of the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import orjson
from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne

from problems import MessageNotFound, NoUpdates
from storage.base.database import (
    SWEEP_MS,
    Change,
    Clock,
    Condition,
    Databases,
    Session,
    Stages,
    Transactions,
    holding,
)
from storage.events.events import Events
from storage.events.journal import Journal, exists, expunge, fetch
from storage.mailboxes.counts import MailboxCounts
from storage.mailboxes.documents import Mailbox
from storage.mailboxes.mailboxes import Mailboxes
from storage.mailboxes.retention import expiry_fields, retention_fields
from storage.messages.documents import Message
from storage.messages.encrypting import EncryptionAtRest
from storage.messages.message_events import MessageEvents
from storage.messages.uid_set import UidSet

_BATCH = 500
_FLAGS = {"seen": "\\Seen", "deleted": "\\Deleted", "flagged": "\\Flagged", "draft": "\\Draft"}
_CHANGED = dict.fromkeys(("uid", "thread", "unseen", "flags", "idate", "modseq", "junk"), 1)


MessageUpdate: TypeAlias = Mapping[str, Any]
"""What is to change, by the API's names: `seen`, `deleted`, `flagged`, `draft`, `expires`, `metaData`, `markHam`."""


class MessageChanges:
    """Changes flags, expiry and places of messages."""

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        *,
        transactions: Transactions,
        mailboxes: Mailboxes,
        mailbox_counts: MailboxCounts,
        journal: Journal,
        events: Events,
        message_events: MessageEvents,
        encryption: EncryptionAtRest,
    ) -> None:
        self._collection = holding(databases.main["messages"], Message)
        self._clock = clock
        self._transactions = transactions
        self._mailboxes = mailboxes
        self._mailbox_counts = mailbox_counts
        self._journal = journal
        self._events = events
        self._message_events = message_events
        self._encryption = encryption

    def update(self, user: ObjectId, mailbox: ObjectId, uids: UidSet, changes: MessageUpdate) -> int:
        """Set flags, expiry or metadata of messages; how many there were.

        `changes` has the API's names. Raises Problem: NoUpdates, MailboxNotFound, MessageNotFound.
        """
        if not changes:
            raise NoUpdates
        self._mailboxes.get(user, mailbox)
        total = 0
        for ids in self._batches(user, mailbox, uids):
            total += self._transactions.run(
                lambda session, ids=ids: self._update_batch(user, mailbox, ids, changes, session)  # type: ignore[misc]
            )
        if not total:
            raise MessageNotFound
        return total

    def mark_ham(self, user: ObjectId, mailbox: ObjectId, uids: UidSet) -> int:
        """Emit that messages are no spam, which changes nothing of them; how many there are.

        Raises MailboxNotFound or MessageNotFound.
        """
        self._mailboxes.get(user, mailbox)
        condition = {"mailbox": mailbox, "user": user, **uids.condition()}
        if not (total := self._collection.count_documents(condition, maxTimeMS=SWEEP_MS)):
            raise MessageNotFound
        if self._events.has_listeners("marked.ham", user):
            for ids in self._batches(user, mailbox, uids):
                self._message_events.emit_for("marked.ham", user, mailbox, ids, None)
        return total

    def _batches(self, user: ObjectId, mailbox: ObjectId, uids: UidSet) -> Iterator[list[ObjectId]]:
        condition = {"mailbox": mailbox, "user": user, **uids.condition()}
        rows = self._collection.find(condition, {"_id": 1}, max_time_ms=SWEEP_MS).sort("uid", 1)
        ids = [row["_id"] for row in rows]
        yield from (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))

    def _update_batch(
        self,
        user: ObjectId,
        mailbox: ObjectId,
        ids: list[ObjectId],
        changes: MessageUpdate,
        session: Session,
    ) -> int:
        condition = {"_id": {"$in": ids}, "mailbox": mailbox}
        before = list(self._collection.find(condition, _CHANGED, session=session))
        if not before:
            return 0
        unseen = sum(_unseen_after(row, changes) - int(row["unseen"]) for row in before)
        modseq = self._mailboxes.allocate(mailbox, unseen=unseen, session=session)["modifyIndex"] + 1
        stages = _update_stages(changes, {"$max": ["$modseq", modseq]})
        self._collection.update_many(condition, stages, session=session)
        after = self._collection.find(condition, _CHANGED, session=session).sort("uid", 1)
        counted = bool("seen" in changes or unseen)
        entries = [fetch({**row, "modseq": modseq}, unseen_change=counted) for row in after]
        self._journal.append(user, mailbox, entries, session=session)
        if says_ham(changes):
            self._message_events.emit_for("marked.ham", user, mailbox, ids, session)
        self._mailbox_counts.settle(mailbox, session)
        return len(entries)

    def add_flags(self, user: ObjectId, message: Message, flags: Sequence[str]) -> None:
        """Add flags such as `\\Answered` to one message."""
        mailbox = message["mailbox"]

        def steps(session: Session) -> None:
            modseq = self._mailboxes.allocate(mailbox, session=session)["modifyIndex"] + 1
            change = {"$addToSet": {"flags": {"$each": list(flags)}}, "$max": {"modseq": modseq}}
            condition = {"_id": message["_id"], "mailbox": mailbox}
            self._collection.update_one(condition, change, session=session)
            if after := self._collection.find_one(condition, _CHANGED, session=session):
                entry = fetch({**after, "modseq": modseq}, unseen_change=False)
                self._journal.append(user, mailbox, [entry], session=session)

        self._transactions.run(steps)

    def note_outbound(self, message: ObjectId, queue_id: str, session: Session = None) -> None:
        """Remember on a stored message that it was queued. WildDuck has null where nothing was."""
        queued: Change = {"$concatArrays": [{"$ifNull": ["$outbound", []]}, [{"$literal": queue_id}]]}
        self._collection.update_one({"_id": message}, [{"$set": {"outbound": queued}}], session=session)

    def move(
        self, user: ObjectId, source: ObjectId, target: ObjectId, uids: UidSet, changes: MessageUpdate
    ) -> list[tuple[int, int]]:
        """Move messages, changing them on the way; pairs of old and new UID in the order of the old ones.

        The documents stay and change their place, so a crash leaves no message twice. Raises Problem
        NoSuchMailbox or MessageNotFound.
        """
        self._mailboxes.get(user, source)
        place = self._mailboxes.get(user, target)
        moved: list[tuple[int, int]] = []
        for ids in self._batches(user, source, uids):
            self._encryption.encrypt_before_move(user, source, place, ids)
            moved += self._transactions.run(
                lambda session, ids=ids: self._move_batch(user, source, place, ids, changes, session)  # type: ignore[misc]
            )
        if not moved:
            raise MessageNotFound
        return moved

    def _move_batch(
        self,
        user: ObjectId,
        source: ObjectId,
        target: Mailbox,
        ids: list[ObjectId],
        changes: MessageUpdate,
        session: Session,
    ) -> list[tuple[int, int]]:
        condition = {"_id": {"$in": ids}, "mailbox": source}
        before = list(self._collection.find(condition, _CHANGED, session=session).sort("uid", 1))
        if not before:
            return []
        mailboxes = self._mailboxes
        unseen = sum(int(row["unseen"]) for row in before)
        left = (
            mailboxes.allocate(source, total=-len(before), unseen=-unseen, session=session)["modifyIndex"] + 1
        )
        unseen = sum(_unseen_after(row, changes) for row in before)
        place = mailboxes.allocate(
            target["_id"], uids=len(before), total=len(before), unseen=unseen, session=session
        )
        uids = {row["_id"]: place["uidNext"] + number for number, row in enumerate(before)}
        updates = {
            row["_id"]: self._move_stages(row, place, uids[row["_id"]], place["modifyIndex"] + 1, changes)
            for row in before
        }
        arrived = self._carry({"mailbox": source}, before, updates, session)
        brought = {row["_id"] for row in arrived}
        moved = [row for row in before if row["_id"] in brought]
        gone = [expunge({**row, "modseq": left}) for row in moved]
        self._journal.append(user, source, gone, session=session)
        self._note_arrival(user, target, moved, arrived, changes, session)
        for mailbox in {source, target["_id"]}:
            self._mailbox_counts.settle(mailbox, session)
        return [(row["uid"], uids[row["_id"]]) for row in moved]

    def _carry(
        self,
        place: Condition,
        before: list[Message],
        updates: dict[ObjectId, Stages],
        session: Session,
    ) -> list[Message]:
        """Those that were still there, as this update has left them.

        Without transactions another may be faster with some, or change some again at once: one by one is sure.
        """
        conditions = {row["_id"]: {"_id": row["_id"], "uid": row["uid"], **place} for row in before}
        if session is None:
            after = (self._after(conditions[message], stages) for message, stages in updates.items())
            return [row for row in after if row]
        changes = [UpdateOne(conditions[message], stages) for message, stages in updates.items()]
        self._collection.bulk_write(changes, session=session)
        found = self._collection.find({"_id": {"$in": list(updates)}}, _CHANGED, session=session)
        return list(found.sort("uid", 1))

    def _after(self, condition: Condition, stages: Stages) -> Message | None:
        return self._collection.find_one_and_update(
            condition, stages, _CHANGED, return_document=ReturnDocument.AFTER
        )

    def _move_stages(
        self, row: Message, target: Mailbox, uid: int, modseq: int, changes: MessageUpdate
    ) -> Stages:
        """The sequence is the target's own; the source's may be far ahead and would stop later changes."""
        place = {"mailbox": target["_id"], "uid": uid, **retention_fields(target, self._clock())}
        use = target.get("specialUse")
        if use == "\\Junk":
            place["junk"] = True
        elif use != "\\Trash":
            place["junk"] = None
        return [{"$set": _literal(place)}, *_update_stages(changes, modseq)]

    def _note_arrival(
        self,
        user: ObjectId,
        target: Mailbox,
        before: list[Message],
        arrived: list[Message],
        changes: MessageUpdate,
        session: Session,
    ) -> None:
        ham = says_ham(changes)
        was_junk = {row["_id"]: bool(row.get("junk")) for row in before}
        entries = []
        for row in arrived:
            junk = int(bool(row.get("junk"))) - int(was_junk[row["_id"]])
            entries.append(exists(row, junk, mark_ham=ham))
        self._journal.append(user, target["_id"], entries, session=session)
        spam = [entry["message"] for entry in entries if entry.get("junk") == 1]
        no_spam = [e["message"] for e in entries if e.get("junk") == -1 or (ham and e.get("junk") != 1)]
        self._message_events.emit_for("marked.spam", user, target["_id"], spam, session)
        self._message_events.emit_for("marked.ham", user, target["_id"], no_spam, session)


def says_ham(changes: MessageUpdate) -> bool:
    """Return whether a message is said to be no spam: flagging it says that it is no spam, as `markHam` does."""
    return bool(changes.get("markHam") or changes.get("flagged"))


def _unseen_after(row: Message, changes: MessageUpdate) -> int:
    """By its flags: the boolean that WildDuck left behind is put right by any change."""
    return int(not changes["seen"] if "seen" in changes else "\\Seen" not in row["flags"])


def _literal(fields: Mapping[str, Any]) -> Change:
    """Fields for a stage; None removes one, and texts are no paths."""
    return {name: "$$REMOVE" if value is None else {"$literal": value} for name, value in fields.items()}


def _update_stages(changes: MessageUpdate, modseq: int | Change) -> Stages:
    """The changes as stages of an update, so that flags, mirrors and sequence move in one step."""
    added = [flag for name, flag in _FLAGS.items() if changes.get(name)]
    removed = [flag for name, flag in _FLAGS.items() if changes.get(name) is False]
    kept: Change = {"$filter": {"input": "$flags", "cond": {"$not": [{"$in": ["$$this", added + removed]}]}}}
    fields: Change = {"modseq": modseq, **_other_fields(changes)}
    mirrors = {
        "unseen": {"$not": [{"$in": ["\\Seen", "$flags"]}]},
        "undeleted": {"$not": [{"$in": ["\\Deleted", "$flags"]}]},
        "flagged": {"$in": ["\\Flagged", "$flags"]},
        "draft": {"$in": ["\\Draft", "$flags"]},
        "searchable": {"$cond": [{"$in": ["\\Deleted", "$flags"]}, "$$REMOVE", True]},
    }
    return [{"$set": {**fields, "flags": {"$concatArrays": [kept, added]}}}, {"$set": mirrors}]


def _other_fields(changes: MessageUpdate) -> Change:
    fields: dict[str, object] = {}
    if "expires" in changes:
        fields.update(_literal(expiry_fields(changes["expires"])))
    if "metaData" in changes:
        fields["meta.custom"] = {"$literal": orjson.dumps(changes["metaData"]).decode()}
    return fields
