"""Metrics of a whole `mallard serve`: an address of their own, and the sum over all its processes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.timeout(240)
REQUESTS = 40


def numbers(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_all_processes_of_one_machine_are_in_one_page(serve: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        bind = f"127.0.0.1:{free.getsockname()[1]}"
    served = serve(MALLARD_METRICS_BIND=bind, MALLARD_ACCESS_CONTROL="on", MALLARD_TOKEN="static")
    token = {"X-Access-Token": "static"}
    for _ in range(REQUESTS):
        assert requests.get(f"{served.base}/users", headers=token, timeout=10).status_code == 200
    assert requests.post(f"{served.base}/quota/reset", headers=token, timeout=10).status_code == 200
    assert requests.get(f"{served.base}/ready", timeout=10).json()["status"] == "ok"

    wanted = (
        "mallard_requests_total",
        frozenset({"operation": "getUsers", "status": "200", "code": ""}.items()),
    )
    job = ("mallard_job_seconds_count", frozenset({"task": "quota", "result": "done"}.items()))
    found: dict[Any, float] = {}
    deadline = time.monotonic() + 60
    while (found.get(wanted), found.get(job)) != (REQUESTS, 1) and time.monotonic() < deadline:
        time.sleep(0.5)
        found = numbers(requests.get(f"http://{bind}/metrics", timeout=10).text)
    assert found[wanted] == REQUESTS, "the workers' counts add up, whichever is asked"
    assert found[job] == 1, "the jobs process counts in the same page"

    assert requests.get(f"{served.base}/metrics", headers=token, timeout=10).status_code == 404
    assert requests.get(f"http://{bind}/users", headers=token, timeout=10).status_code == 404
