"""searchApplyMessages: checked at once, done by a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from jobs.runner import Runner
from storage.store import Store


@pytest.fixture
def apply(client: Any, ada: str) -> Callable[..., Any]:
    def send(**body: Any) -> Any:
        return client.post(f"/users/{ada}/search", json=body)

    return send


def subjects(client: Any, path: str, **query: Any) -> set[str]:
    return {row["subject"] for row in client.get(f"{path}/messages", query_string=query).json["results"]}


def test_flags_and_a_move_go_together(
    client: Any, store: Store, put: Callable[..., int], box: Callable[[str], str], apply: Callable[..., Any]
) -> None:
    for subject in ("Plan A", "Plan B", "Minutes"):
        put(subject, unseen=True)
    target = box("Trash").rpartition("/")[2]
    answer = apply(subject="plan", action={"moveTo": target, "seen": True, "flagged": True})
    assert answer.json == {"success": True, "scheduled": answer.json["scheduled"], "existing": False}
    assert Runner(store).run_one()
    assert subjects(client, box("INBOX")) == {"Minutes"}
    moved = client.get(f"{box('Trash')}/messages").json["results"]
    assert [(row["subject"][:4], row["seen"], row["flagged"]) for row in moved] == [("Plan", True, True)] * 2
    assert store.databases.main["tasks"].count_documents({}) == 0


def test_what_is_in_place_already_is_only_changed(
    client: Any, store: Store, put: Callable[..., int], box: Callable[[str], str], apply: Callable[..., Any]
) -> None:
    put("One"), put("Two", mailbox="Trash")
    apply(q="from:grace", action={"moveTo": box("Trash").rpartition("/")[2], "flagged": True})
    assert Runner(store).run_one()
    assert subjects(client, box("Trash")) == {"One", "Two"}
    assert all(row["flagged"] for row in client.get(f"{box('Trash')}/messages").json["results"])


def test_a_delete_goes_to_the_archive(
    client: Any, store: Store, ada: str, put: Callable[..., int], box: Callable[[str], str],
    apply: Callable[..., Any],
) -> None:  # fmt: skip
    for number in range(5):
        put(f"Plan {number}", unseen=number % 2 == 0)
    apply(mailbox=box("INBOX").rpartition("/")[2], unseen=True, action={"delete": True})
    put("Plan 6", unseen=True)
    assert Runner(store).run_one()
    assert client.get(f"/users/{ada}/archived/messages").json["total"] == 4, (
        "the job takes what is there when it begins"
    )
    assert subjects(client, box("INBOX")) == {"Plan 1", "Plan 3"}


def test_the_data_is_as_wildduck_has_it(
    store: Store, ada: str, box: Callable[[str], str], apply: Any
) -> None:
    inbox = box("INBOX").rpartition("/")[2]
    apply(mailbox=inbox, datestart="2026-01-01", action={"seen": False})
    task = store.databases.main["tasks"].find_one({})
    assert task
    assert (task["task"], task["data"]["user"], task["data"]["mailbox"]) == ("search-apply", ada, inbox)
    assert task["data"]["action"] == {"seen": False}


def test_a_batch_after_the_other(
    client: Any, store: Store, put: Callable[..., int], box: Callable[[str], str], apply: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("jobs.search_apply._AT_ONCE", 2)
    for number in range(5):
        put(str(number))
    apply(q="from:grace", action={"flagged": True})
    assert Runner(store).run_one()
    assert all(row["flagged"] for row in client.get(f"{box('INBOX')}/messages").json["results"])


@pytest.mark.parametrize(
    ("body", "status", "fault"),
    [
        ({}, 400, {"action"}),
        ({"query": "x", "action": {}}, 400, {"action"}),
        ({"action": {"delete": True}}, 400, {"action,delete"}),
        ({"query": "x", "action": {"delete": True, "seen": True}}, 400, {"action"}),
        ({"q": "(x", "action": {"seen": True}}, 400, {"q"}),
        ({"mailbox": "x", "action": {"moveTo": "y", "seen": "maybe"}}, 400,
         {"mailbox", "action,moveTo", "action,seen"}),
        ({"query": "x", "action": {"moveTo": "1" * 24}}, 404, "NoSuchMailbox"),
    ],
)  # fmt: skip
def test_what_is_refused(store: Store, apply: Callable[..., Any], body: Any, status: int, fault: Any) -> None:
    answer = apply(**body)
    assert answer.status_code == status, answer.json
    assert (set(answer.json["details"]) if status == 400 else answer.json["code"]) == fault
    assert store.databases.main["tasks"].count_documents({}) == 0


def test_an_unknown_account(client: Any) -> None:
    answer = client.post(f"/users/{ObjectId()}/search", json={"query": "x", "action": {"seen": True}})
    assert (answer.status_code, answer.json["code"]) == (404, "UserNotFound")
