"""An account with messages, as most operations find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask

from server.settings import Settings
from storage.store import Store
from tests.conftest import Client

RAW = {"Content-Type": "message/rfc822"}


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> str:
    """The id of an account."""
    return str(make_user("ada", name="Ada Lovelace"))


@pytest.fixture
def box(client: Any, ada: str) -> Callable[[str], str]:
    """`box("INBOX")`: the path of a mailbox of the account in the API."""

    def path(name: str) -> str:
        found = client.get(f"/users/{ada}/mailboxes/resolve", query_string={"path": name}).json
        return f"/users/{ada}/mailboxes/{found['id']}"

    return path


@pytest.fixture
def put(client: Any, box: Callable[[str], str]) -> Callable[..., int]:
    """`put(subject="x")`: stores a message in INBOX (or `mailbox`) and gives its UID; `options` go to the query."""

    def store(
        subject: str = "Hello",
        text: str = "Dear Ada",
        sender: str = "Grace <grace@example.com>",
        mailbox: str = "INBOX",
        headers: str = "",
        **options: Any,
    ) -> int:
        raw = f"From: {sender}\r\nTo: ada@example.com\r\nSubject: {subject}\r\n{headers}\r\n{text}"
        answer = client.post(f"{box(mailbox)}/messages", data=raw.encode(), headers=RAW, query_string=options)
        assert answer.status_code == 200, answer.json
        return int(answer.json["message"]["id"])

    return store


@pytest.fixture
def as_role(app: Flask, store: Store, settings: Settings) -> Callable[..., Client]:
    """`as_role("manager")` is a client of that role; `as_role("user", ada)` one of the account itself."""

    def client(role: str, user: str = "") -> Client:
        if user:
            return Client(
                app, store.tokens.issue(store.users.get(ObjectId(user)), secret=settings.secret, ttl=60)
            )
        return Client(app, store.tokens.provision("operator", role, secret=settings.secret))

    return client
