"""The store as a part of Mallard opens it: with all indexes, and its numbers where somebody asks for them."""

from __future__ import annotations

import structlog

from server.metrics.counters import Metrics
from server.metrics.gauges import Gauges
from server.metrics.page import serve_beside, shared_folder, wants_metrics
from server.processes.store import open_store
from server.settings.table import Settings
from storage.store import Store

log = structlog.get_logger()


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
