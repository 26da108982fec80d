"""What `mallard import` and `mallard export` do."""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from bson import ObjectId

from problems import NotFound
from server.running import running_store
from server.settings.table import Settings
from storage.accounts.documents import User
from storage.store import Store
from transfer.archive import Archive
from transfer.checkpoint import Checkpoint
from transfer.export import export
from transfer.imap import ImapAccount
from transfer.intake import Intake, Progress, Report
from transfer.maildir import Maildir
from transfer.mbox import MboxFiles
from transfer.source import Source, SourceError


class AccountUnknown(Exception):
    """There is no such account."""


def open_source(text: str, folder: str, password: Callable[[str], str]) -> Source:
    """The source that a text names; what it is shows in itself. Raises SourceError."""
    if "://" in text:
        return _open_url(text, password)
    path = Path(text).expanduser()
    if not path.exists():
        raise SourceError(f"There is no {path}")
    if path.is_dir():
        return Maildir(path, folder) if (path / "cur").is_dir() else MboxFiles(path, folder)
    return Archive(path) if tarfile.is_tarfile(path) else MboxFiles(path, folder)


def _open_url(text: str, password: Callable[[str], str]) -> Source:
    parts = urlsplit(text)
    if parts.scheme not in ("imap", "imaps"):
        raise SourceError("An account on a server is imaps://user@host")
    if parts.password:
        raise SourceError(
            "Leave the password out of the address: others see it there. Set MALLARD_IMPORT_PASSWORD"
        )
    return ImapAccount(text, password(f"{parts.username}@{parts.hostname}"))


def import_from(
    settings: Settings, account: str, source: Source, *, again: bool, progress: Progress
) -> Report:
    """Import into an account. Raises AccountUnknown, SourceError and ImportStopped."""
    with closing(source), running_store(settings) as store:
        store.ensure_indexes()
        user = find_account(store, account)
        checkpoint = Checkpoint(settings.state_dir / "imports", source.name, str(user["_id"]))
        if again:
            checkpoint.forget()
        return Intake(store, user, checkpoint, progress).run(source)


def export_to(settings: Settings, account: str, target: Path | None, progress: Progress) -> dict[str, int]:
    """Export an account to a file, which is there whole or not at all, or to standard output. Raises AccountUnknown."""
    with running_store(settings) as store:
        user = find_account(store, account)
        if target is None:
            return export(store, user, sys.stdout.buffer, progress)
        part = target.with_name(f"{target.name}.part")
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            totals = export(store, user, file, progress)
        os.replace(part, target)
        return totals


def find_account(store: Store, text: str) -> User:
    """The account with this id, user name or address. Raises AccountUnknown."""
    try:
        if ObjectId.is_valid(text):
            return store.users.get(ObjectId(text))
        address = store.addresses.resolve(text) if "@" in text else None
        if address and address.get("user"):
            return store.users.get(address["user"])
        return store.users.get(store.users.id_of(text))
    except NotFound as problem:
        raise AccountUnknown(f"There is no account {text}") from problem
