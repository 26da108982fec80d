"""`mallard queue list`, `show`, `retry` and `remove`."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from delivery.sending.enqueue import Submission, enqueueing, server_of
from storage.queue.documents import Attempt, Deferred
from storage.queue.outbound_queue import Delivery
from storage.store import Store

RAW = b"From: ada@example.com\r\nSubject: Hello\r\n\r\nDear Grace\r\n"
TARGETS = [
    Delivery("grace@example.org"),
    Delivery("a@example.com", server_of("smtps://ada:hush@mx.example.net:465")),
    Delivery("a@example.com", {"http": True, "targetUrl": "https://ada:hush@example.net/in"}),
]


@pytest.fixture
def queued(store: Store) -> str:
    """The id of a message for three recipients."""
    submission = Submission(
        user={"_id": ObjectId(), "username": "ada", "address": "ada@example.com"},
        raw=RAW,
        sender="ada@example.com",
        recipients=["grace@example.org"],
        send_at=store.clock(),
        parent=ObjectId(),
        origin="192.0.2.1",
        deliveries=TARGETS,
    )
    with enqueueing(store, submission) as queued:
        queued.release()
    return queued.id


def put_off(store: Store) -> None:
    entry = store.queue_claims.claim_for_domain("relay", timedelta(minutes=1), "example.org")
    assert entry
    log: list[Attempt] = [{"time": 1, "host": "mx.example.org", "response": "450 4.2.2 full"}]
    deferred: Deferred = {"count": 3, "response": "450 4.2.2 full", "log": log}
    store.queue_claims.defer(entry, "relay", store.clock() + timedelta(hours=1), deferred)


def test_an_empty_queue(run: Any) -> None:
    listed = run("queue", "list")
    assert (listed.exit_code, listed.stdout.strip()) == (0, "")
    assert json.loads(run("queue", "list", "--json").stdout) == []


def test_what_waits_is_listed(run: Any, store: Store, queued: str) -> None:
    put_off(store)
    lines = run("queue", "list").stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [
        [queued, "002", "due"],
        [queued, "003", "due"],
        [queued, "001", "deferred"],
    ]
    assert lines[2].endswith("3  grace@example.org  450 4.2.2 full")
    rows = json.loads(run("queue", "list", "--json", "--domain", "example.org").stdout)
    assert [(row["queueId"], row["seq"], row["state"], row["attempts"]) for row in rows] == [
        (queued, "001", "deferred", 3)
    ]
    assert len(json.loads(run("queue", "list", "--json", "--limit", "1").stdout)) == 1


def test_the_states(run: Any, store: Store, queued: str) -> None:
    assert store.queue_claims.claim_for_domain("relay", timedelta(minutes=1), "example.org")
    later = {"$set": {"queued": store.clock() + timedelta(days=1)}}
    store.databases.sender["zone-queue"].update_one({"seq": "002"}, later)
    rows = json.loads(run("queue", "show", queued, "--json").stdout)["recipients"]
    assert [row["state"] for row in rows] == ["sending", "scheduled", "due"]


def test_a_message_is_shown_without_its_text(run: Any, store: Store, queued: str) -> None:
    put_off(store)
    shown = run("queue", "show", queued)
    assert shown.exit_code == 0
    for text in ("from: ada@example.com", "reason: forward", "origin: 192.0.2.1", "  Subject: Hello"):
        assert text in shown.stdout
    assert "mx.example.org  450 4.2.2 full" in shown.stdout
    assert "Dear Grace" not in shown.stdout
    found = json.loads(run("queue", "show", queued, "--json").stdout)
    assert found["recipients"][0]["log"][0]["response"] == "450 4.2.2 full"


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["show"], ["show", "--json"]])
def test_passwords_are_masked(run: Any, queued: str, words: list[str]) -> None:
    shown = run("queue", *words, *([queued] if words[0] == "show" else []))
    assert "hush" not in shown.output
    if words[0] == "show":
        assert "smtps://ada:***@mx.example.net:465" in shown.stdout
        assert "https://ada:***@example.net/in" in shown.stdout


def test_tried_again(run: Any, store: Store, queued: str) -> None:
    put_off(store)
    again = run("queue", "retry", queued, "001")
    assert (again.exit_code, again.stderr) == (0, "1 recipients are due now\n")
    assert "deferred" not in run("queue", "list").stdout
    assert run("queue", "retry", queued, "009").exit_code == 1
    assert run("queue", "retry", "0" * 18).exit_code == 1


def test_removed(run: Any, store: Store, queued: str) -> None:
    gone = run("queue", "remove", queued, "002", "003")
    assert (gone.exit_code, gone.stderr) == (0, "2 recipients removed\n")
    assert run("queue", "remove", queued).exit_code == 0
    assert run("queue", "show", queued).exit_code == 1
    assert run("queue", "remove", queued).exit_code == 1
    assert store.databases.sender["mail.files"].count_documents({}) == 0
