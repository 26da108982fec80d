"""Copying what is there into an audit, in steps that can be repeated.

It goes by thread, the one thing of a message that no move, deletion or restore changes and that an index leads to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import structlog
from bson import MinKey, ObjectId
from pymongo.errors import ConnectionFailure

from problems import summary
from storage.audits.audits import Audits
from storage.audits.files import AuditFiles
from storage.audits.metadata import metadata_of
from storage.base.database import BAD_DOCUMENT, SWEEP_MS, Databases, Document, Session, Transactions
from storage.messages.attachments import Attachments
from storage.messages.messages import Messages

log = structlog.get_logger()

PLACES = ("archived", "messages", "archived")
"""The archive twice: what is deleted meanwhile is found there, and what is restored meanwhile among the messages."""

_THREADS_AT_ONCE, _MESSAGES_AT_ONCE, _BYTES_AT_ONCE = 500, 50, 8 * 1024 * 1024
_FIRST = ObjectId("0" * 24)
_INDEX = "user_messages_by_thread"
_COPIED = dict.fromkeys(
    (
        "user",
        "mailbox",
        "idate",
        "msgid",
        "subject",
        "ha",
        "draft",
        "meta",
        "outbound",
        "mimeTree",
        "mallard",
    ),
    1,
)


class AuditOver(Exception):
    """The audit has expired or is gone: there is nothing more to do."""


class AuditImport:
    """One audit's way through the messages of its account."""

    def __init__(
        self,
        audit: Document,
        *,
        databases: Databases,
        transactions: Transactions,
        audits: Audits,
        audit_files: AuditFiles,
        attachments: Attachments,
        messages: Messages,
    ) -> None:
        self._main = databases.main
        self._transactions = transactions
        self._audits = audits
        self._files = audit_files
        self._attachments = attachments
        self._messages = messages
        self._audit: ObjectId = audit["_id"]
        self._user: ObjectId = audit["user"]
        self._dates = _between(audit)

    def threads(self, place: str, after: ObjectId | None) -> list[ObjectId | None]:
        """The next threads, read from the index alone; old messages may have none."""
        condition = {"user": self._user, "thread": {"$gt": MinKey() if after is None else after}}
        rows = self._collection(place).find(condition, {"_id": 0, "thread": 1}, max_time_ms=SWEEP_MS)
        ordered = rows.hint(_INDEX).sort("thread", 1).limit(_THREADS_AT_ONCE)
        return list(dict.fromkeys(row.get("thread") for row in ordered))

    def batches(self, place: str, threads: Sequence[ObjectId | None]) -> Iterator[list[ObjectId]]:
        """Messages of these threads, as many as are copied in one step."""
        condition = {"user": self._user, "thread": {"$in": list(threads)}, **self._dates}
        batch: list[ObjectId] = []
        total = 0
        for row in self._collection(place).find(condition, {"size": 1}, max_time_ms=SWEEP_MS).hint(_INDEX):
            size = int(row.get("size") or 0)
            if batch and (len(batch) == _MESSAGES_AT_ONCE or total + size > _BYTES_AT_ONCE):
                yield batch
                batch, total = [], 0
            batch.append(row["_id"])
            total += size
        if batch:
            yield batch

    def copy(self, place: str, messages: Sequence[ObjectId]) -> list[ObjectId]:
        """Copy those that the audit does not have; the ids of those that could not be. Raises AuditOver."""
        missing = self._files.missing(self._audit, messages)
        if not missing:
            if not self._audits.running(self._audit):
                raise AuditOver
            return []
        return self._copy_batch(place, missing)

    def _copy_batch(self, place: str, messages: Sequence[ObjectId]) -> list[ObjectId]:
        """All in one step; where that fails one by one, so that a bad one keeps none of the others."""
        try:
            self._copy_together(place, messages)
        except ConnectionFailure:
            raise
        except BAD_DOCUMENT as error:
            if len(messages) == 1:
                log.warning("a message was not audited", message=str(messages[0]), reason=summary(error))
                return list(messages)
            return [failed for message in messages for failed in self._copy_again(place, message)]
        return []

    def _copy_again(self, place: str, message: ObjectId) -> list[ObjectId]:
        """Unless it was what the others failed for: that it has been stored just now, with a copy."""
        missing = self._files.missing(self._audit, [message])
        return self._copy_batch(place, missing) if missing else []

    def _copy_together(self, place: str, messages: Sequence[ObjectId]) -> None:
        rows = list(self._collection(place).find({"_id": {"$in": list(messages)}}, _COPIED))
        rows = self._without_twins(rows)
        self._require_files(rows)
        paths = self._audits.paths([row["mailbox"] for row in rows])
        self._transactions.run(lambda session: self._write(rows, paths, session))

    def _without_twins(self, rows: list[Document]) -> list[Document]:
        if not self._files.has_others(self._audit, [row["idate"] for row in rows]):
            return rows
        return [row for row in rows if not self._files.twin_of(self._audit, row, self._source(row))]

    def _require_files(self, rows: list[Document]) -> None:
        """A message that has lost an attachment is none that may pass for a copy."""
        maps = [row["mimeTree"].get("attachmentMap") or {} for row in rows]
        ids = {file_id for files in maps for file_id in files.values()}
        needed = {file_id if isinstance(file_id, ObjectId) else bytes(file_id) for file_id in ids}
        if lost := needed - self._attachments.existing(needed):
            raise LookupError(f"{len(lost)} attachments are lost")

    def _write(self, rows: list[Document], paths: dict[ObjectId, str], session: Session) -> None:
        """The count comes last, as deliveries count there, too."""
        for row in rows:
            metadata = metadata_of(self._audit, row, paths, imported=True)
            self._files.write(metadata, self._source(row), session)
        if self._audits.count(self._audit, len(rows), imported=True, session=session):
            return
        if session is None:
            for row in rows:
                self._files.forget(self._audit, row["_id"])
        raise AuditOver

    def _source(self, row: Document) -> Iterator[bytes]:
        return self._messages.source(row)

    def _collection(self, place: str) -> Any:
        return self._main[place]


def next_after(threads: Sequence[ObjectId | None]) -> ObjectId:
    """Where the next call of `threads` begins."""
    return threads[-1] or _FIRST


def _between(audit: Document) -> Document:
    limits = {"$gte": audit.get("start"), "$lte": audit.get("end")}
    given = {name: date for name, date in limits.items() if isinstance(date, datetime)}
    return {"idate": given} if given else {}
