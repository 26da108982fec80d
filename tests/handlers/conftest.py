"""An account with messages, as most operations find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bson import ObjectId
from connexion.spec import OpenAPISpecification
from flask import Flask

from server.settings.table import Settings
from storage.store import Store
from tests.conftest import AppOf, Client

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


@pytest.fixture(scope="session", autouse=True)
def _document_is_valid() -> Iterator[None]:
    """Connexion checks the contract's form each time an app is made; a test of its own does that once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenAPISpecification, "_validate_spec", classmethod(lambda cls, spec: None))
        yield


@pytest.fixture
def as_caller(store: Store, app_of: AppOf) -> Callable[..., Any]:
    """`as_caller("auth")`: a client of a server that asks for tokens, with one of that role; None for none."""
    settings = Settings(
        access_control=True,
        secret="s",
        validate_responses=True,
        log_level="error",
        mongo_uri="mongodb://unused",
    )
    guarded = app_of(settings, store)

    def client_of(role: str | None, user: str = "somebody") -> Any:
        if role is None:
            return Client(guarded)
        if role == "user":
            return Client(guarded, store.tokens.issue(store.users.get(ObjectId(user)), secret="s", ttl=3600))
        return Client(guarded, store.tokens.provision(user, role, secret="s"))

    return client_of


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
