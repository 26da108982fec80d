"""The store, for commands that look at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from commands.shared import settings_in_force
from server.processes.mongod import Mongod
from server.processes.store import open_store
from server.settings.table import Settings, SettingsError
from storage.store import Store


@contextmanager
def configured_store() -> Iterator[Store]:
    """The store on MALLARD_MONGO_URI. Raises SettingsError where that is not set."""
    store = open_store(settings_in_force(needs_database=True))
    with closing(store.databases.client):
        yield store


@contextmanager
def running_store(settings: Settings) -> Iterator[Store]:
    """The store of the settings, else the one of `mallard serve` in the state folder. Raises SettingsError."""
    store = open_store(settings if settings.mongo_uri else settings.with_mongo_uri(_own_uri(settings)))
    with closing(store.databases.client):
        yield store


def _own_uri(settings: Settings) -> str:
    """The address of the mongod in the state folder. Raises SettingsError when it does not answer."""
    mongod = Mongod(settings.state_dir / "mongod", settings.mongo_cache)
    if not mongod.ping():
        raise SettingsError("No database answers. Start `mallard serve` first, or set MALLARD_MONGO_URI.")
    return mongod.uri
