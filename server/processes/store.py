"""The store of one process, opened from the settings, and what is counted of it where somebody asks."""

from __future__ import annotations

import structlog
from pymongo import MongoClient

from server.metrics.counters import Metrics
from server.metrics.gauges import Gauges
from server.metrics.page import serve_beside, shared_folder, wants_metrics
from server.processes.request_watch import RequestWatch
from server.settings.table import Settings
from storage.base.database import DatabaseNames, Document
from storage.events.wildduck import WildDuck
from storage.store import Store

log = structlog.get_logger()

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
    """Return whether the server accepts a comment with every command, as MongoDB does from 4.4 on."""
    return int(client.admin.command("hello")["maxWireVersion"]) >= _MONGODB_4_4


def database_names(settings: Settings) -> DatabaseNames:
    """The databases by their role."""
    return DatabaseNames(
        main=settings.database,
        users=settings.users_database,
        gridfs=settings.gridfs_database,
        sender=settings.sender_database,
    )


def open_part(settings: Settings) -> tuple[Store, Metrics | None]:
    """The store of a part that answers no HTTP, and what it counts in; None where nobody asks."""
    metrics = Metrics(shared_folder()) if wants_metrics(settings) else None
    store = open_store(settings, metrics)
    complete(store)
    if metrics and settings.metrics_bind:
        serve_beside(settings.metrics_bind, metrics, Gauges(store))
    return store, metrics


def complete(store: Store) -> None:
    """Make the indexes that are missing: reads and writes name those that they need."""
    if made := store.ensure_indexes():
        log.info("indexes were made", indexes=made)
