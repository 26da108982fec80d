"""`mallard import`: messages from a source into an account, each once.

A message is a duplicate if it was imported before (its `_id` is made of what it is, so the database itself refuses a
second one, whoever tries at the same time), or if its mailbox has one of the very same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from mail.headers import read_date
from mail.mime_tree import parse
from problems import EmptyMessage, MessageTooLarge, OverQuota, Problem
from storage.accounts.documents import User
from storage.base.database import is_duplicate
from storage.mailboxes.documents import Mailbox, MailboxSettings
from storage.mailboxes.names import normalize_path
from storage.messages.intake import NewMessage
from storage.store import Store
from transfer.checkpoint import Checkpoint
from transfer.source import Folder, Found, Source

_SYSTEM = {flag.lower(): flag for flag in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")}
_MOST_FLAGS = 100
_MOST_TOLD = 100
_HEADER = 262_144
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)

Progress = Callable[[str, int, int | None], None]


class ImportStopped(Exception):
    """The account takes no more; what is stored stays, and the import can be started again."""


@dataclass(slots=True)
class Report:
    """What an import did. `refused` names up to a hundred messages that were not taken, and why."""

    folders: int = 0
    stored: int = 0
    duplicates: int = 0
    bytes: int = 0
    refused_count: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, folder: Folder, position: Any, code: str) -> None:
        """Note a message, or a whole folder, that was not taken."""
        self.refused_count += 1
        if len(self.refused) < _MOST_TOLD:
            self.refused.append({"folder": folder.path, "position": position, "code": code})

    def shown(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "folders": self.folders,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "refused": self.refused_count,
            "bytes": self.bytes,
            "problems": self.refused,
        }


class Intake:
    """One import into one account."""

    def __init__(self, store: Store, user: User, checkpoint: Checkpoint, progress: Progress) -> None:
        self._store = store
        self._user = user
        self._checkpoint = checkpoint
        self._progress = progress
        self.report = Report()

    def run(self, source: Source) -> Report:
        """Take everything behind the checkpoint. Raises SourceError and ImportStopped."""
        try:
            for folder in source.folders():
                self._take_folder(source, folder)
        finally:
            self._checkpoint.write()
        return self.report

    def _take_folder(self, source: Source, folder: Folder) -> None:
        try:
            mailbox = self._mailbox(folder)
        except Problem as problem:
            self.report.refuse(folder, None, problem.code)
            return
        self.report.folders += 1
        for done, found in enumerate(source.messages(folder, self._checkpoint.position(folder.name)), 1):
            self._take(folder, mailbox, found)
            self._checkpoint.note(folder.name, found.position)
            self._progress(folder.path, done, folder.count)

    def _mailbox(self, folder: Folder) -> Mailbox:
        """The mailbox at the folder's path, else the one with its special use, else a new one."""
        mailboxes, user = self._store.mailboxes, self._user["_id"]
        path = normalize_path(folder.path)
        boxes = mailboxes.of_user(user)
        same = next((box for box in boxes if box["path"] == path), None)
        alike = next(
            (box for box in boxes if folder.special_use and box.get("specialUse") == folder.special_use), None
        )
        if found := same or alike:
            return found
        most = int(self._store.settings.get("const:max:mailboxes"))
        retention = folder.retention or self._user.get("retention") or 0
        fields: MailboxSettings = {"subscribed": folder.subscribed, "retention": retention}
        return mailboxes.get(user, mailboxes.create(user, path, fields, most))

    def _take(self, folder: Folder, mailbox: Mailbox, found: Found) -> None:
        if not found.raw or not found.raw.strip():
            code = (MessageTooLarge if found.raw is None else EmptyMessage).code
            self.report.refuse(folder, found.position, code)
            return
        date = found.date or read_date(_field(found.raw, "date"))
        own = _identity(self._user["_id"], mailbox["_id"], found, date or _UNDATED)
        if self._is_there(mailbox, found, own):
            self.report.duplicates += 1
            return
        try:
            self._add(mailbox, found, own, date)
        except OverQuota as problem:
            raise ImportStopped("The account's quota is used up") from problem
        except Problem as problem:
            self.report.refuse(folder, found.position, problem.code)

    def _is_there(self, mailbox: Mailbox, found: Found, own: ObjectId) -> bool:
        messages, ids = self._store.messages, [own]
        if found.original:
            return messages.has_any(self._user["_id"], [*ids, ObjectId(found.original)])
        if messages.has_any(self._user["_id"], ids):
            return True
        message_id = _field(found.raw or b"", "message-id")
        return bool(message_id) and messages.has_same(mailbox["_id"], found.raw or b"", message_id)

    def _add(self, mailbox: Mailbox, found: Found, own: ObjectId, date: datetime | None) -> None:
        raw = found.raw or b""
        meta = {
            "source": "IMPORT",
            "from": "",
            "origin": "",
            "transtype": "IMPORT",
            "time": self._store.clock(),
        }
        try:
            self._store.intake.add(
                NewMessage(
                    user=self._user,
                    mailbox=mailbox,
                    raw=raw,
                    meta=meta,
                    flags=_flags(found.flags),
                    date=date,
                    message_id=own,
                )
            )
        except Exception as error:
            if not (is_duplicate(error) and self._store.messages.has_any(self._user["_id"], [own])):
                raise
            self.report.duplicates += 1
            return
        self.report.stored += 1
        self.report.bytes += len(raw)


def _flags(given: tuple[str, ...]) -> list[str]:
    """System flags in their usual spelling, labels as they are; `\\Recent` and others of a session's own go."""
    known = [_SYSTEM.get(flag.lower(), flag) for flag in given]
    kept = [flag for flag in dict.fromkeys(known) if flag in _SYSTEM.values() or not flag.startswith("\\")]
    return kept[:_MOST_FLAGS]


def _identity(user: ObjectId, mailbox: ObjectId, found: Found, date: datetime) -> ObjectId:
    """Sorts by date as other ids do; the rest is a digest of the message and its place, or of the id it had."""
    what = found.original.encode() if found.original else mailbox.binary + (found.raw or b"")
    seconds = min(max(int(date.timestamp()), 0), 0xFFFFFFFF)
    return ObjectId(seconds.to_bytes(4, "big") + hashlib.sha256(user.binary + what).digest()[:8])


def _field(raw: bytes, name: str) -> str:
    """A header field's text, empty without one."""
    head = raw[:_HEADER].partition(b"\r\n\r\n")[0]
    return str(parse(head).root["parsedHeader"].get(name) or "")
