"""The dashboard: every query names metrics and labels that `/metrics` has."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobs.runner import Runner
from server.contract.operations import Contract
from server.http.app import create_app
from server.metrics.counters import Metrics
from server.metrics.gauges import Gauges
from server.processes.request_watch import RequestWatch
from server.settings.table import Settings
from storage.store import Store
from tests.conftest import Client

DASHBOARD = Path(__file__).resolve().parents[3] / "docs" / "grafana.json"
PANELS = orjson.loads(DASHBOARD.read_bytes())["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
_NAME = re.compile(r"\bmallard_\w+")
_LABELS = re.compile(r"\bby \(([^)]*)\)|\{([^}]*)\}")
_OF_PROMETHEUS = {"le", "instance"}


@pytest.fixture
def page(store: Store, settings: Settings, contract: Contract, make_user: Callable[..., Any]) -> str:
    """`/metrics` of a service that has done a little of everything."""
    metrics = Metrics()
    watch = RequestWatch(comments=True, slow_ms=0, metrics=metrics)
    watched = Store(store.databases.client, store.databases.names, watch=watch)
    client = Client(create_app(settings, watched, contract, metrics))
    client.post("/authenticate", json={"username": "nobody", "password": "x"})
    metrics.command_was_slow("find")
    watched.tasks.add("quota", {})
    Runner(watched, {"quota": lambda *given: None}, sweeps=False, on_end=metrics.job_ended).run_one()
    watched.tasks.add("quota", {})
    return metrics.page(Gauges(watched)).decode()


def test_every_query_names_metrics_and_labels_that_are_there(page: str) -> None:
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    names = {sample.name for sample in samples}
    labels = {label for sample in samples for label in sample.labels} | _OF_PROMETHEUS
    for query in QUERIES:
        assert _NAME.findall(query), query
        assert set(_NAME.findall(query)) <= names, query
        for by, selected in _LABELS.findall(query):
            given = by.split(",") if by else re.findall(r"(\w+)\s*[!=]", selected)
            assert {label.strip() for label in given if label.strip()} <= labels, query


def test_every_metric_is_on_the_dashboard(page: str) -> None:
    shown = " ".join(QUERIES)
    families = {family.name for family in text_string_to_metric_families(page)}
    assert {name for name in families if name not in shown} == set()


def test_no_panel_lies_on_another() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own
