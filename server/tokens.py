"""What `mallard token` does: access tokens for programs, made and ended by the operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import MongoClient

from security.roles import ROLES
from server.database import open_store
from server.json import date_text
from server.mongod import Mongod
from server.settings import Settings, SettingsError
from storage.store import Store

_SELECTION_MS = 2000


class RoleUnknown(Exception):
    """There is no such role; the text lists those there are."""


def provision(settings: Settings, user: str, role: str) -> str:
    """Make a token that never ends by itself, and return its text. Raises RoleUnknown."""
    if role not in ROLES:
        raise RoleUnknown(f"There is no role {role}. Roles: {', '.join(sorted(ROLES))}")
    with _store(settings) as store:
        return store.tokens.provision(user, role, secret=settings.secret)


def listing(settings: Settings, user: str | None) -> Iterator[str]:
    """A line for each token: the start of its hash, its user, role, and when it was made."""
    with _store(settings) as store:
        for record in store.tokens.list(user):
            made = date_text(record["created"])
            yield f"{str(record['_id'])[:12]}  {record['user']:<26}{record['role']:<12}{made}"


def delete(settings: Settings, text: str) -> bool:
    """End one token; whether there was one."""
    with _store(settings) as store:
        return store.tokens.delete_text(text)


def clear(settings: Settings, user: str) -> int:
    """End all tokens of a name or account id; how many there were."""
    with _store(settings) as store:
        return store.tokens.clear(user)


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    store = open_store(settings if settings.mongo_uri else settings.with_mongo_uri(_own_uri(settings)))
    try:
        yield store
    finally:
        store.databases.client.close()


def _own_uri(settings: Settings) -> str:
    """Where the mongod in the state folder listens. Raises SettingsError when it does not answer."""
    uri = Mongod(settings.state_dir / "mongod", settings.mongo_cache).uri
    client: MongoClient[dict[str, object]] = MongoClient(uri, serverSelectionTimeoutMS=_SELECTION_MS)
    try:
        client.admin.command("ping")
    except Exception as error:
        raise SettingsError(
            "No database answers. Start `mallard serve` first, or set MALLARD_MONGO_URI."
        ) from error
    finally:
        client.close()
    return uri
