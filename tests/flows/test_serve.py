"""`mallard serve`: the newcomer's tour, one folder for one process, and nothing lost by kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.flows.conftest import Serve, Served

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
RAW = {"Content-Type": "message/rfc822"}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def served(serve_all: Serve) -> Served:
    """One server for all that does not end it."""
    return serve_all()


def tour_of_the_readme(base: str) -> str:
    """The tour as it stands there, on another port."""
    text = (ROOT / "README.md").read_text("utf-8")
    block = next(part for part in text.split("```sh\n") if part.startswith("API="))
    return block.partition("```")[0].replace("http://127.0.0.1:8080", base)


def test_the_tour_of_the_readme(served: Served) -> None:
    script = "set -eu\n" + tour_of_the_readme(served.base)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert '"error"' not in done.stdout
    assert '"intro": "Dear Ada, they work."' in done.stdout
    assert '"queueId"' in done.stdout


def test_the_interface_lists_all_operations(served: Served) -> None:
    document = requests.get(f"{served.base}/openapi.json", timeout=10).json()
    assert sum(len(item) for item in document["paths"].values()) == 106
    assert "swagger-ui" in requests.get(f"{served.base}/ui/", timeout=10).text


def test_a_second_start_on_the_same_folder_is_refused(served: Served) -> None:
    second = served.launch()
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"already runs on {served.state}" in errors
    assert str(served.process.pid) in errors
    assert requests.get(f"{served.base}/users", timeout=10).status_code == 200


@pytest.mark.parametrize("part", ["mongod", "api"])
def test_a_part_that_is_killed_comes_back(served: Served, part: str) -> None:
    user = make_account(served.base, f"user-of-{part}")
    for pid in served.children()[part]:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{served.base}/users/{user}", timeout=30).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise AssertionError(f"the service did not come back after {part} was killed")


def test_a_deleted_account_goes_even_if_its_runner_is_killed(served: Served) -> None:
    user = make_account(served.base, "deleted")
    for pid in served.children()["jobs"]:
        os.kill(pid, signal.SIGKILL)
    assert requests.delete(f"{served.base}/users/{user}", timeout=30).json()["code"] == "TaskScheduled"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        gone = requests.get(f"{served.base}/users/{user}/restore", timeout=30)
        if gone.status_code == 404:
            assert gone.json()["code"] == "AccountNotFound"
            return
        time.sleep(0.2)
    raise AssertionError("the job did not run after its runner was killed")


def make_account(base: str, name: str) -> str:
    body = {"username": name, "password": PASSWORD, "address": f"{name}@example.com"}
    return str(requests.post(f"{base}/users", json=body, timeout=30).json()["id"])


def test_what_was_acknowledged_survives_kill_9(serve: Serve) -> None:
    served = serve()
    user = make_account(served.base, "ada")
    inbox = requests.get(f"{served.base}/users/{user}/mailboxes/resolve?path=INBOX", timeout=30).json()["id"]
    place = f"/users/{user}/mailboxes/{inbox}/messages"
    stored, tried = uploads_until_killed(served, place)
    assert len(stored) > 20, "the stream of uploads must have run for a while"

    served.process = served.launch()
    served.wait()
    for uid, marker in stored.items():
        source = requests.get(f"{served.base}{place}/{uid}/message.eml", timeout=30)
        assert source.status_code == 200, (
            f"message {uid} of {tried} tried uploads was acknowledged and is lost"
        )
        assert f"Subject: {marker}\r\n" in source.text
    account = requests.get(f"{served.base}/users/{user}", timeout=30).json()
    listing = requests.get(f"{served.base}{place}?limit=1", timeout=30).json()
    assert listing["total"] >= len(stored)
    assert account["limits"]["quota"]["used"] > 0
    print(f"{tried} uploads tried, {len(stored)} acknowledged, all there")


def uploads_until_killed(served: Served, place: str) -> tuple[dict[int, str], int]:
    """Uploads from four clients; after a while everything is killed. The acknowledged UIDs, and how many tries."""
    stored: dict[int, str] = {}
    tries: list[str] = []
    stop = threading.Event()

    def upload(client: int) -> None:
        session = requests.Session()
        number = 0
        while not stop.is_set():
            marker = f"{client}-{number}"
            number += 1
            tries.append(marker)
            data = f"Subject: {marker}\r\nFrom: <a@example.com>\r\n\r\n{'body ' * 500}"
            try:
                answer = session.post(served.base + place, data=data, headers=RAW, timeout=10)
            except requests.RequestException:
                return
            if answer.status_code == 200:
                stored[answer.json()["message"]["id"]] = marker

    threads = [threading.Thread(target=upload, args=(client,)) for client in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    served.kill_everything()
    stop.set()
    for thread in threads:
        thread.join(20)
    return stored, len(tries)
