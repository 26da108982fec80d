"""`/metrics`: what is counted, who may see it, and the sum over processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from jobs.runner import Runner
from server.contract.operations import Contract
from server.http.app import create_app
from server.metrics.counters import Metrics
from server.metrics.gauges import Gauges
from server.metrics.page import OnAddress, serve_beside, share_numbers
from server.processes.request_watch import RequestWatch
from server.settings.table import Settings
from storage.queue.outbound_queue import Delivery, new_queue_id
from storage.store import Store

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(page: bytes | str) -> Samples:
    """Every sample of a page by its name and labels."""
    text = page.decode() if isinstance(page, bytes) else page
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def watched(store: Store, metrics: Metrics) -> Store:
    """The store of the test, watched."""
    watch = RequestWatch(comments=True, slow_ms=0, metrics=metrics)
    return Store(store.databases.client, store.databases.names, watch=watch)


@pytest.fixture
def app(watched: Store, settings: Settings, contract: Contract, metrics: Metrics) -> Flask:
    return create_app(settings, watched, contract, metrics)


def test_requests_are_counted_by_operation_status_and_code(
    client: Any, metrics: Metrics, make_user: Callable[..., Any]
) -> None:
    user = make_user()
    for _ in range(3):
        client.get(f"/users/{user}")
    client.get(f"/users/{'0' * 24}")
    client.get("/users?limit=no")
    client.get("/nowhere")
    found = samples(metrics.page())
    name = "mallard_requests_total"
    assert value(found, name, operation="getUser", status="200", code="") == 3
    assert value(found, name, operation="getUser", status="404", code="UserNotFound") == 1
    assert value(found, name, operation="getUsers", status="400", code="InputValidationError") == 1
    assert value(found, name, operation="-", status="404", code="ResourceNotFound") == 1
    assert value(found, "mallard_request_seconds_count", operation="getUser") == 4
    assert value(found, "mallard_request_seconds_bucket", operation="getUser", le="+Inf") == 4
    seconds = value(found, "mallard_request_seconds_sum", operation="getUser")
    database = value(found, "mallard_request_database_seconds_sum", operation="getUser")
    assert 0 < database < seconds < 60
    assert value(found, "mallard_database_seconds_count", command="aggregate") >= 4
    text = metrics.page().decode()
    assert str(user) not in text
    assert "/nowhere" not in text


def test_refused_log_ins_are_counted_by_their_reason(
    client: Any, metrics: Metrics, make_user: Callable[..., Any]
) -> None:
    make_user("ada")
    for password in ("wrong", "wrong", "correct horse battery"):
        client.post("/authenticate", json={"username": "ada", "password": password})
    found = samples(metrics.page())
    assert value(found, "mallard_logins_failed_total", code="AuthFailed") == 2
    assert value(found, "mallard_requests_total", operation="authenticate", status="200", code="") == 1


def test_the_buckets_add_up(client: Any, metrics: Metrics) -> None:
    for _ in range(20):
        client.get("/users")
    found = samples(metrics.page())
    bounds = [(labels, n) for (name, labels), n in found.items() if name == "mallard_request_seconds_bucket"]
    by_bound = sorted((float(dict(labels)["le"]), n) for labels, n in bounds)
    assert [n for _, n in by_bound] == sorted(n for _, n in by_bound)
    assert by_bound[-1] == (float("inf"), 20)


def test_what_waits_is_read_from_the_database(watched: Store, make_user: Callable[..., Any]) -> None:
    now = watched.clock()
    ids = [new_queue_id(now) for _ in range(2)]
    for queue_id in ids:
        watched.outbound_queue.put({"id": queue_id}, b"x")
        watched.outbound_queue.enqueue(queue_id, [Delivery("a@example.com"), Delivery("b@example.com")], now)
    watched.tasks.add("quota", {})
    found = samples(Metrics().page(Gauges(watched)))
    assert value(found, "mallard_database_up") == 1
    assert value(found, "mallard_queue_recipients") == 4
    assert value(found, "mallard_queue_due") == 4
    assert 0 <= value(found, "mallard_queue_oldest_seconds") < 60
    assert value(found, "mallard_tasks", task="quota", status="waiting") == 1
    assert 0 <= value(found, "mallard_tasks_oldest_seconds") < 60


def test_a_database_that_is_away_is_told_and_not_an_error(
    watched: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pymongo.errors import ServerSelectionTimeoutError

    def away() -> Any:
        raise ServerSelectionTimeoutError("no primary at mongodb://secret@db")

    monkeypatch.setattr(watched, "backlog", away)
    page = Metrics().page(Gauges(watched))
    assert value(samples(page), "mallard_database_up") == 0
    assert b"secret" not in page


def test_jobs_are_counted_by_how_they_ended(store: Store, metrics: Metrics) -> None:
    def fails(*given: Any) -> None:
        raise RuntimeError("no")

    store.tasks.add("quota", {})
    store.tasks.add("clear-folder", {})
    jobs = {"quota": lambda *given: None, "clear-folder": fails}
    runner = Runner(store, jobs, sweeps=False, on_end=metrics.job_ended)
    while runner.run_one():
        pass
    found = samples(metrics.page())
    assert value(found, "mallard_job_seconds_count", task="quota", result="done") == 1
    assert value(found, "mallard_job_seconds_count", task="clear-folder", result="failed") == 1


def test_it_is_closed_by_default(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    answer = client.get("/metrics")
    assert (answer.status_code, answer.json["code"]) == (404, "ResourceNotFound")


def test_with_a_token_it_is_open_to_who_has_it(make_app: Callable[..., Flask]) -> None:
    client = make_app(metrics_token="see", access_control=True).test_client()
    for headers in ({}, {"Authorization": "Bearer other"}, {"X-Access-Token": ""}):
        assert client.get("/metrics", headers=headers).status_code == 403
    answer = client.get("/metrics", headers={"Authorization": "Bearer see"})
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    assert value(samples(answer.data), "mallard_database_up") == 1
    assert client.get("/users", headers={"Authorization": "Bearer see"}).status_code == 403


def test_an_address_of_its_own_has_nothing_else() -> None:
    def api(environ: Any, start: Any) -> list[bytes]:
        return [b"api"]

    app = OnAddress(api, "127.0.0.1:9100", lambda: b"numbers")
    started: list[str] = []

    def ask(port: str, path: str, method: str = "GET") -> bytes:
        environ = {"SERVER_PORT": port, "PATH_INFO": path, "REQUEST_METHOD": method}
        start: Any = lambda status, headers: started.append(status)  # noqa: E731 a WSGI server's own does more
        return b"".join(app(environ, start))

    assert ask("8080", "/metrics") == b"api"
    assert (ask("9100", "/metrics"), started[-1]) == (b"numbers", "200 OK")
    assert (ask("9100", "/users"), started[-1]) == (b"", "404 Not Found")
    assert (ask("9100", "/metrics", "POST"), started[-1]) == (b"", "404 Not Found")


def test_a_process_without_an_api_serves_its_numbers(store: Store, metrics: Metrics) -> None:
    metrics.job_ended("quota", "done", 0.5)
    server = serve_beside("127.0.0.1:0", metrics, Gauges(store))
    try:
        answer = requests.get(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10)
    finally:
        server.shutdown()
        server.server_close()
    assert value(samples(answer.text), "mallard_job_seconds_sum", task="quota", result="done") == 0.5


_OTHER = """
import sys, time
from pathlib import Path
from server.metrics.counters import Metrics
metrics = Metrics(Path(sys.argv[1]))
for _ in range(3):
    metrics.job_ended("quota", "done", 1.0)
print("counted", flush=True)
sys.stdin.read()
"""


def test_processes_add_up_also_after_one_has_ended(tmp_path: Path) -> None:
    here = Metrics(tmp_path)
    here.job_ended("quota", "done", 1.0)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _OTHER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for other in others:
        assert other.stdout
        assert other.stdout.readline() == b"counted\n"
    others[0].communicate(timeout=30)
    deadline = time.monotonic() + 10
    count = 0.0
    while count != 7 and time.monotonic() < deadline:
        time.sleep(0.1)
        count = value(samples(here.page()), "mallard_job_seconds_count", task="quota", result="done")
    others[1].communicate(timeout=30)
    assert count == 7
    assert value(samples(here.page()), "mallard_job_seconds_count", task="quota", result="done") == 7


def test_a_new_start_begins_at_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLARD_METRICS_FOLDER", raising=False)
    (tmp_path / "1-old.json").write_bytes(orjson.dumps([[["job", "quota", "done"], [5, 1]]]))
    share_numbers(tmp_path)
    try:
        assert list(tmp_path.iterdir()) == []
    finally:
        monkeypatch.delenv("MALLARD_METRICS_FOLDER")
