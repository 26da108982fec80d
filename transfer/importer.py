"""`mallard import`: messages from a source into an account, each once.

A message is a duplicate if it was imported before (its `_id` is made of what it is, so the database itself refuses a
second one, whoever tries at the same time), or if its mailbox has one of the very same bytes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import orjson
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
from transfer.source import Folder, Position, Source, SourceMessage

_SYSTEM = {flag.lower(): flag for flag in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")}
_MOST_FLAGS = 100
_MOST_REPORTED = 100
_HEADER = 262_144
_WRITE_SECONDS = 1.0
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)

Progress = Callable[[str, int, int | None], None]


class ImportStopped(Exception):
    """The account takes no more; what is stored stays, and the import can be started again."""


class Refusal(TypedDict):
    """A message, or without a position a whole folder, that was not imported; `code` is the problem's."""

    folder: str
    position: Position
    code: str


class ReportJson(TypedDict):
    """What the command line prints as JSON."""

    folders: int
    stored: int
    duplicates: int
    refused: int
    bytes: int
    problems: list[Refusal]


@dataclass(slots=True)
class Report:
    """What an import did. `refused` names up to a hundred messages that were not taken, and why."""

    folders: int = 0
    stored: int = 0
    duplicates: int = 0
    bytes: int = 0
    refused_count: int = 0
    refused: list[Refusal] = field(default_factory=list)

    def refuse(self, folder: Folder, position: Position, code: str) -> None:
        """Note a message, or a whole folder, that was not taken."""
        self.refused_count += 1
        if len(self.refused) < _MOST_REPORTED:
            self.refused.append({"folder": folder.path, "position": position, "code": code})

    def as_json(self) -> ReportJson:
        """For JSON."""
        return {
            "folders": self.folders,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "refused": self.refused_count,
            "bytes": self.bytes,
            "problems": self.refused,
        }


class Checkpoint:
    """Where an import stands, in a file, so that it can be broken off at any moment and started again.

    It has the position in each folder of one source that is behind what is stored. Written once a second:
    what was stored since is met again after a crash, and known as a duplicate.
    """

    def __init__(self, folder: Path, source: str, user: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = hashlib.sha256(f"{user}\n{source}".encode()).hexdigest()[:32]
        self._file = folder / f"{digest}.json"
        self._written = 0.0
        self._positions: dict[str, Position] = self._read()

    def _read(self) -> dict[str, Position]:
        try:
            positions = orjson.loads(self._file.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return positions if isinstance(positions, dict) else {}

    def position(self, folder: str) -> Position:
        """Where to go on, None for the beginning."""
        return self._positions.get(folder)

    def forget(self) -> None:
        """Begin all folders again."""
        self._positions.clear()

    def note(self, folder: str, position: Position) -> None:
        """All up to here is stored."""
        self._positions[folder] = position
        if time.monotonic() - self._written > _WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Put it on disk, the new file in place of the old one in one step."""
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(self._positions))
        os.replace(fresh, self._file)
        self._written = time.monotonic()


class Importer:
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
        for done, message in enumerate(source.messages(folder, self._checkpoint.position(folder.name)), 1):
            self._take(folder, mailbox, message)
            self._checkpoint.note(folder.name, message.position)
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
        if existing := same or alike:
            return existing
        limit = int(self._store.settings.get("const:max:mailboxes"))
        retention = folder.retention or self._user.get("retention") or 0
        fields: MailboxSettings = {"subscribed": folder.subscribed, "retention": retention}
        return mailboxes.get(user, mailboxes.create(user, path, fields, limit))

    def _take(self, folder: Folder, mailbox: Mailbox, message: SourceMessage) -> None:
        if not message.raw or not message.raw.strip():
            code = (MessageTooLarge if message.raw is None else EmptyMessage).code
            self.report.refuse(folder, message.position, code)
            return
        date = message.date or read_date(_field(message.raw, "date"))
        own = _identity(self._user["_id"], mailbox["_id"], message, date or _UNDATED)
        if self._is_stored(mailbox, message, own):
            self.report.duplicates += 1
            return
        try:
            self._add(mailbox, message, own, date)
        except OverQuota as problem:
            raise ImportStopped("The account's quota is used up") from problem
        except Problem as problem:
            self.report.refuse(folder, message.position, problem.code)

    def _is_stored(self, mailbox: Mailbox, message: SourceMessage, own: ObjectId) -> bool:
        messages, ids = self._store.messages, [own]
        if message.original:
            return messages.has_any(self._user["_id"], [*ids, ObjectId(message.original)])
        if messages.has_any(self._user["_id"], ids):
            return True
        message_id = _field(message.raw or b"", "message-id")
        return bool(message_id) and messages.has_same(mailbox["_id"], message.raw or b"", message_id)

    def _add(self, mailbox: Mailbox, message: SourceMessage, own: ObjectId, date: datetime | None) -> None:
        raw = message.raw or b""
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
                    flags=_flags(message.flags),
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


def _identity(user: ObjectId, mailbox: ObjectId, message: SourceMessage, date: datetime) -> ObjectId:
    """Sorts by date as other ids do; the rest is a digest of the message and its place, or of the id it had."""
    what = message.original.encode() if message.original else mailbox.binary + (message.raw or b"")
    seconds = min(max(int(date.timestamp()), 0), 0xFFFFFFFF)
    return ObjectId(seconds.to_bytes(4, "big") + hashlib.sha256(user.binary + what).digest()[:8])


def _field(raw: bytes, name: str) -> str:
    """A header field's text, empty without one."""
    head = raw[:_HEADER].partition(b"\r\n\r\n")[0]
    return str(parse(head).root["parsedHeader"].get(name) or "")
