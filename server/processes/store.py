"""The store of one process, opened from the settings."""

from __future__ import annotations

from pymongo import MongoClient

from server.metrics.counters import Metrics
from server.processes.request_watch import RequestWatch
from server.settings.table import Settings
from storage.base.database import DatabaseNames, Document
from storage.events.wildduck import WildDuck
from storage.store import Store

_SELECTION_MS = 20_000
_MONGODB_4_4 = 9  # its wire version


def open_store(settings: Settings, metrics: Metrics | None = None) -> Store:
    """Connect to the database of the settings; what it takes goes to the metrics, and to the log where it is slow.

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
    watch = RequestWatch(comments=_takes_comments(client), slow_ms=settings.slow_ms, metrics=metrics)
    return Store(
        client,
        database_names(settings),
        wildduck=WildDuck(settings.redis_url),
        watch=watch,
        keys=settings.key_rings,
    )


def _takes_comments(client: MongoClient[Document]) -> bool:
    """MongoDB takes a comment with every command from 4.4 on."""
    return int(client.admin.command("hello")["maxWireVersion"]) >= _MONGODB_4_4


def database_names(settings: Settings) -> DatabaseNames:
    """The databases by their role."""
    return DatabaseNames(
        main=settings.database,
        users=settings.users_database,
        gridfs=settings.gridfs_database,
        sender=settings.sender_database,
    )
