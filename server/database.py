"""The store of one process, opened from the settings."""

from __future__ import annotations

from pymongo import MongoClient

from server.settings import Settings
from storage.database import DatabaseNames, Document
from storage.store import Store
from storage.wildduck import WildDuck

_SELECTION_MS = 20_000


def open_store(settings: Settings) -> Store:
    """Connect to the database of the settings.

    A worker waits up to 20 s for a primary, so that a restart of the database is a pause and no failure.
    """
    client: MongoClient[Document] = MongoClient(
        settings.mongo_uri,
        appname="mallard",
        serverSelectionTimeoutMS=_SELECTION_MS,
        retryWrites=True,
        retryReads=True,
        maxPoolSize=100,
    )
    return Store(
        client, database_names(settings), wildduck=WildDuck(settings.redis_url), keys=settings.key_rings
    )


def database_names(settings: Settings) -> DatabaseNames:
    """The databases by their role."""
    return DatabaseNames(
        main=settings.database,
        users=settings.users_database,
        gridfs=settings.gridfs_database,
        sender=settings.sender_database,
    )
