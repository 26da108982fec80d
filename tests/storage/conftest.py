"""One store for all tests of this floor, an account of its own for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from storage.base.database import DatabaseNames
from storage.messages.intake import NewMessage
from storage.store import Store
from tests.rows import Row

_numbers = itertools.count(1)


class Account:
    """An account with the usual mailboxes, and short ways to what tests do with it."""

    def __init__(self, store: Store, **fields: Any) -> None:
        self.store = store
        self.id: ObjectId = store.users.create(f"ada{next(_numbers)}", fields)["_id"]
        store.mailboxes.create_defaults(self.id, None, {}, 0)

    @property
    def document(self) -> Row:
        return self.store.users.get(self.id)

    def box(self, path: str = "INBOX") -> Row:
        return self.store.mailboxes.by_path(self.id, path)

    def add(self, raw: bytes | None = None, path: str = "INBOX", **options: Any) -> Row:
        raw = message() if raw is None else raw
        return self.store.intake.add(
            NewMessage(user=self.document, mailbox=self.box(path), raw=raw, **options)
        )

    def all(self, collection: str, **wanted: Any) -> list[Row]:
        """Documents of the account as they stand on disk, in the order they came."""
        return list(self.store.databases.main[collection].find({"user": self.id, **wanted}).sort("_id", 1))

    def check(self) -> None:
        """What is counted equals what is there; UIDs, sequences and quota are in order."""
        messages = self.all("messages")
        assert self.document["storageUsed"] == sum(row["size"] for row in messages)
        for box in self.store.mailboxes.of_user(self.id):
            here = [row for row in messages if row["mailbox"] == box["_id"]]
            unseen = sum(row["unseen"] for row in here)
            assert self.store.mailbox_counts.of([box])[box["_id"]] == (len(here), unseen), box["path"]
            assert len({row["uid"] for row in here}) == len(here)
            assert all(row["uid"] < box["uidNext"] for row in here)
            assert all(row["modseq"] <= box["modifyIndex"] for row in here)


def message(
    subject: str = "Hello", text: str = "Dear Ada", sender: str = "grace@example.com", more: str = ""
) -> bytes:
    """A short message; `more` are further header lines."""
    return f"From: {sender}\r\nTo: ada@example.com\r\nSubject: {subject}\r\n{more}\r\n{text}".encode()


def with_attachment(content: str = "aGVsbG8=", subject: str = "Files") -> bytes:
    """A message with one base64 attachment."""
    part = "Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n"
    disposition = "Content-Disposition: attachment; filename=a.pdf\r\n"
    return (
        f"From: grace@example.com\r\nSubject: {subject}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        f"--b\r\nContent-Type: text/plain\r\n\r\nSee file\r\n--b\r\n{part}{disposition}\r\n{content}\r\n--b--\r\n"
    ).encode()


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Results of `work(0)` … `work(count - 1)` run by 16 threads; an exception counts as a result."""

    def attempt(number: int) -> Any:
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(attempt, range(count)))


@pytest.fixture(scope="session")
def store(mongo: MongoClient[dict[str, Any]]) -> Iterator[Store]:
    """A store with all indexes, on a replica set."""
    name = "test_storage"
    store = Store(mongo, DatabaseNames(main=name))
    store.ensure_indexes()
    yield store
    mongo.drop_database(name)


@pytest.fixture(scope="session")
def lone_store(store: Store, mongo: MongoClient[dict[str, Any]]) -> Store:
    """The same database as on a server that has no transactions."""
    lone = Store(mongo, store.databases.names)
    lone.transactions.available = False
    return lone


@pytest.fixture(params=["replica set", "lone server"])
def account(request: pytest.FixtureRequest, store: Store, lone_store: Store) -> Account:
    """An account; each test runs with transactions and without."""
    return Account(store if request.param == "replica set" else lone_store)


@pytest.fixture
def ada(store: Store) -> Account:
    """An account on the replica set."""
    return Account(store)
