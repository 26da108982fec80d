"""The store of a part that answers no HTTP, with its numbers where somebody asks for them."""

from __future__ import annotations

from server.database import open_store
from server.gauges import Gauges
from server.metrics import Metrics
from server.metricspage import serve_beside, shared_folder, wants_metrics
from server.settings import Settings
from storage.store import Store


def open_part(settings: Settings) -> tuple[Store, Metrics | None]:
    """The store, and what it counts in; None where nobody asks."""
    metrics = Metrics(shared_folder()) if wants_metrics(settings) else None
    store = open_store(settings, metrics)
    if metrics and settings.metrics_bind:
        serve_beside(settings.metrics_bind, metrics, Gauges(store))
    return store, metrics
