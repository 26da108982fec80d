"""`/health` and `/ready`: for load balancers and service managers, without a token and without inner detail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from pymongo import MongoClient

from server.contract.operations import Contract
from server.http.app import create_app
from server.pages.health import Readiness
from server.settings.table import Settings
from storage.store import Store


def test_both_answer_without_a_token(make_app: Callable[..., Flask]) -> None:
    client = make_app(access_control=True).test_client()
    health, ready = client.get("/health"), client.get("/ready")
    assert (health.status_code, health.json) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json) == (200, {"status": "ok", "database": "ok", "queue": "ok"})
    assert ready.headers["Cache-Control"] == "no-store"
    assert client.post("/ready").status_code == 405


@pytest.fixture
def away(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store, whose database has gone after the start: nobody listens where it asks now."""
    monkeypatch.setattr("server.pages.health._ANSWER_SECONDS", 0.3)
    elsewhere: MongoClient[dict[str, Any]] = MongoClient("mongodb://hush:hush@127.0.0.1:1")
    monkeypatch.setattr(store.databases, "client", elsewhere)
    monkeypatch.setattr(store.outbound_queue, "_queue", elsewhere["secretname"]["zone-queue"])
    return store


def test_a_database_that_is_away_takes_us_out_of_service_but_restarts_nobody(
    away: Store, settings: Settings, contract: Contract
) -> None:
    client = create_app(settings, away, contract).test_client()
    ready = client.get("/ready")
    assert (ready.status_code, ready.json) == (503, {"status": "down", "database": "down", "queue": "down"})
    assert "hush" not in ready.text
    assert "127.0.0.1" not in ready.text
    assert client.get("/health").status_code == 200
    away.databases.client.close()


def test_the_database_is_asked_once_a_second_at_most(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(store.databases, "ping", lambda: asked.append(1) or True)
    readiness = Readiness(store)
    for _ in range(50):
        assert readiness.state() == {"database": "ok", "queue": "ok"}
    assert len(asked) <= 2


def test_they_are_no_part_of_the_contract(contract: Contract, make_app: Callable[..., Flask]) -> None:
    assert not {"/health", "/ready", "/metrics"} & set(contract.document["paths"])
    assert (
        make_app().test_client().get("/openapi.json").json["paths"].keys()
        == contract.document["paths"].keys()
    )


def test_they_leave_the_log_in_peace(client: Any, logged: Callable[[str], Any]) -> None:
    log = logged("json")
    client.get("/health")
    client.get("/ready")
    assert log.lines == []
