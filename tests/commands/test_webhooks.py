"""`mallard webhooks`, and the page about events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from jobs.webhooks.delivery import Delivery
from network.post import PostFailed
from security.webhooks import hook_secret
from server.pages.reference import events_page
from storage.events.catalogue import CATALOGUE
from storage.store import Store

ROOT = Path(__file__).resolve().parents[2]


class Refusing:
    """A target that refuses everything, or cannot be reached."""

    def __init__(self, status: int = 400) -> None:
        self._status = status

    def post(self, url: str, body: bytes, headers: Any) -> int:
        if not self._status:
            raise PostFailed("No answer in time")
        return self._status


def attempt(store: Store, status: int, times: int = 1) -> None:
    """That many attempts, the waits between them passed over."""
    for _ in range(times):
        store.webhook_queue.discover()
        store.databases.main["webhooklanes"].update_many({}, {"$set": {"due": store.clock()}})
        lane = store.webhook_queue.claim()
        assert lane
        Delivery(store, Refusing(status)).run(lane)


@pytest.fixture
def hook(store: Store) -> ObjectId:
    """A hook with an event that waits for it."""
    hook = store.webhooks.create(["mailbox.*", "user.*"], "https://u:secret@hooks.example.com/x", None)
    store.events.emit("mailbox.created", user=ObjectId("a" * 24), mailbox=ObjectId(), path="Work")
    return hook


def test_hooks_and_what_waits_for_them(run: Any, store: Store, hook: ObjectId) -> None:
    attempt(store, 0)
    (row,) = json.loads(run("webhooks", "list", "--json").stdout)
    assert {name: value for name, value in row.items() if name not in ("oldest", "next")} == {
        "id": str(hook), "user": None, "type": ["mailbox.*", "user.*"], "url": "https://u:***@hooks.example.com/x",
        "waiting": 1, "failures": 1, "error": "No answer in time",
    }  # fmt: skip
    line = run("webhooks", "list").stdout
    assert line.startswith(
        f"{hook}  https://u:***@hooks.example.com/x  mailbox.*,user.*  all accounts  1 waiting"
    )
    assert "1 failures" in line
    assert "No answer in time" in line


def test_nothing_to_show(run: Any) -> None:
    assert run("webhooks", "list").stdout.strip() == ""
    assert json.loads(run("webhooks", "dead", "--json").stdout) == []


def test_a_dead_event_is_seen_and_sent_again(run: Any, store: Store, hook: ObjectId) -> None:
    attempt(store, 400, times=10)
    (row,) = json.loads(run("webhooks", "dead", "--json").stdout)
    event = row["id"]
    assert (row["hook"], row["type"], row["attempts"], row["error"]) == (
        str(hook),
        "mailbox.created",
        10,
        "HTTP 400",
    )
    assert row["body"]["path"] == "Work"
    line = run("webhooks", "dead", str(hook)).stdout
    assert line.split()[:4] == [event, str(hook), "mailbox.created", "a" * 24]
    assert run("webhooks", "dead", str(ObjectId())).stdout.strip() == ""
    again = run("webhooks", "retry", event)
    assert (again.exit_code, again.stderr) == (0, "1 events queued again\n")
    assert run("webhooks", "retry", event).exit_code == 1
    attempt(store, 400, times=10)
    assert run("webhooks", "retry", "--all").stderr == "1 events queued again\n"
    assert run("webhooks", "retry", "--all").exit_code == 1
    attempt(store, 200)
    assert json.loads(run("webhooks", "list", "--json").stdout)[0]["waiting"] == 0


@pytest.mark.parametrize(
    "words", [("retry",), ("retry", "a" * 24, "--all"), ("retry", "x"), ("dead", "x"), ("secret",)]
)
def test_what_makes_no_sense(run: Any, words: tuple[str, ...]) -> None:
    assert run("webhooks", *words).exit_code == 2


def test_the_secret_of_a_hook(run: Any, hook: ObjectId, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = run("webhooks", "secret", str(hook))
    assert unset.exit_code == 1
    assert "MALLARD_WEBHOOK_SECRET is not set" in unset.stderr
    monkeypatch.setenv("MALLARD_WEBHOOK_SECRET", "s")
    assert run("webhooks", "secret", str(hook)).stdout.strip() == hook_secret("s", str(hook))
    assert run("webhooks", "secret", "b" * 24).exit_code == 1


def test_the_page_about_events_is_current(run: Any) -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs" / "events.md").read_text("utf-8") == events_page()
    assert run("webhooks", "events").stdout == events_page()
    assert all(f"\n## `{kind}`\n" in events_page() for kind in CATALOGUE)
