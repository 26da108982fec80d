"""Accounts that mail moves into and out of, through the commands' own functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from storage.messages.intake import NewMessage
from storage.store import Store
from tests.rows import Row
from transfer.importer import Checkpoint, Importer, Report
from transfer.source import Source


def message(number: int = 1, text: str = "Dear Ada", newline: str = "\r\n") -> bytes:
    """A short message with a Message-ID of its own."""
    lines = (
        "From: Grace <grace@example.com>", "To: ada@example.com", f"Subject: Number {number}",
        f"Message-ID: <{number}@example.com>", "Date: Thu, 01 Feb 2024 10:20:30 +0100", "", text, "",
    )  # fmt: skip
    return newline.join(lines).encode()


def silent(folder: str, done: int, total: int | None) -> None:
    """No bar in tests."""


class Mover:
    """One account, imports into it, and what it holds."""

    def __init__(self, store: Store, user: ObjectId, state: Path) -> None:
        self.store, self.user, self.state = store, user, state

    def take(self, source: Source, *, again: bool = False) -> Report:
        """Import; the checkpoint is in the folder of the test."""
        checkpoint = Checkpoint(self.state, source.name, str(self.user))
        if again:
            checkpoint.forget()
        try:
            return Importer(self.store, self.store.users.get(self.user), checkpoint, silent).run(source)
        finally:
            source.close()

    def folder(self, path: str) -> list[Row]:
        """`{raw, flags, date}` of each message by UID."""
        box = self.store.mailboxes.by_path(self.user, path)
        return [
            {
                "raw": b"".join(self.store.messages.source(row)),
                "flags": set(row["flags"]),
                "date": row["idate"],
            }
            for row in self.store.messages.each(self.user, box["_id"])
        ]

    def everything(self) -> dict[str, list[Row]]:
        """All messages by the path of their mailbox."""
        return {box["path"]: self.folder(box["path"]) for box in self.store.mailboxes.of_user(self.user)}

    def add(self, raw: bytes, path: str = "INBOX", **options: Any) -> Row:
        """Store a message as a delivery does."""
        user, box = self.store.users.get(self.user), self.store.mailboxes.by_path(self.user, path)
        return self.store.intake.add(NewMessage(user=user, mailbox=box, raw=raw, **options))


@pytest.fixture
def make_mover(store: Store, make_user: Callable[..., ObjectId], tmp_path: Path) -> Callable[..., Mover]:
    """`make_mover("bob", quota=10)`: an account to move mail into."""
    return lambda name="ada", **fields: Mover(store, make_user(name, **fields), tmp_path / "state")


@pytest.fixture
def ada(make_mover: Callable[..., Mover]) -> Mover:
    """An empty account."""
    return make_mover()
