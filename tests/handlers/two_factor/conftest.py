"""A clock that tests move, an authenticator, and clients of every role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyotp
import pytest
from bson import ObjectId
from flask import Flask
from pymongo import MongoClient

from server.settings.table import Settings
from storage.base.database import DatabaseNames, utc_now
from storage.store import Store
from tests.conftest import AppOf, Client
from tests.rows import Row


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


class Authenticator:
    """Shows the codes of a seed."""

    def __init__(self, seed: str, clock: Clock) -> None:
        self.seed = seed
        self._clock = clock

    def code(self, steps: int = 0) -> str:
        """The code of now, or of so many steps later."""
        return pyotp.TOTP(self.seed).at(self._clock.now, counter_offset=steps)

    def wrong(self) -> str:
        """A code that is right nowhere near now."""
        right = {self.code(steps) for steps in range(-20, 21)}
        return next(code for code in ("000000", "111111", "222222") if code not in right)


@pytest.fixture
def clock() -> Clock:
    return Clock(utc_now())


@pytest.fixture
def store(store: Store, mongo: MongoClient[dict[str, Any]], databases: DatabaseNames, clock: Clock) -> Store:
    """The same database, by that clock."""
    return Store(mongo, databases, clock)


@pytest.fixture
def make_app(store: Store, settings: Settings, app_of: AppOf) -> Callable[..., Flask]:
    """`make_app(strict_2fa=False)`: the application with other settings."""
    return lambda **changed: app_of(replace(settings, **changed), store)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture
def as_role(app: Flask, store: Store, settings: Settings) -> Callable[[str], Client]:
    """`as_role("webmail")`: a client with the token of a program of that role."""
    return lambda role: Client(app, store.tokens.provision("site", role, secret=settings.secret))


@pytest.fixture
def as_user(store: Store, settings: Settings, app: Flask) -> Callable[..., Client]:
    """`as_user(ada)`: a client with a session of the account."""

    def client(user: str, app: Flask = app) -> Client:
        account = store.users.get(ObjectId(user))
        return Client(app, store.tokens.issue(account, secret=settings.secret, ttl=settings.token_ttl))

    return client


@pytest.fixture
def set_up(client: Client, ada: str, clock: Clock) -> Authenticator:
    """An authenticator that was set up for Ada and not switched on yet."""
    return Authenticator(client.post(f"/users/{ada}/2fa/totp/setup", json={}).json["seed"], clock)


@pytest.fixture
def totp(client: Client, ada: str, clock: Clock, set_up: Authenticator) -> Authenticator:
    """The same, switched on a step ago."""
    answer = client.post(f"/users/{ada}/2fa/totp/enable", json={"token": set_up.code()})
    assert answer.json == {"success": True}
    clock.forward(seconds=30)
    return set_up


@pytest.fixture
def document(store: Store, ada: str) -> Callable[[], Row]:
    """Ada's account as it stands on disk."""
    return lambda: store.users.get(ObjectId(ada))


@pytest.fixture
def events(store: Store) -> Callable[[], list[tuple[str, str | None, int]]]:
    """The log of security: what, how it went, how often; not the making of accounts."""
    rows = store.databases.users["authlog"]
    skipped = {"action": {"$ne": "account created"}}
    return lambda: [
        (row["action"], row["result"], row["events"]) for row in rows.find(skipped).sort("$natural")
    ]
