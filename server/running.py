"""The store of a service that runs, for commands that look at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import MongoClient

from server.processes.mongod import Mongod
from server.processes.store import open_store
from server.settings.table import Settings, SettingsError
from storage.store import Store

_SELECTION_MS = 2000


@contextmanager
def running_store(settings: Settings) -> Iterator[Store]:
    """The store of the settings, else that of `mallard serve` in the state folder. Raises SettingsError."""
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
