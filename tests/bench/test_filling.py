"""The measurements' messages are those that the store itself makes."""

from __future__ import annotations

from typing import Any

from bench.filling import RARE, fill, make_user
from bench.listing import measure, works
from storage.messages.intake import NewMessage
from storage.store import Store
from tests.rows import Row


def test_a_filled_mailbox_is_like_one_that_was_filled_by_uploads(store: Store) -> None:
    user = make_user(store, "ada")
    box: Row = fill(store, user, 100)
    rows = list(store.databases.main["messages"].find({"mailbox": box["_id"]}).sort("uid", 1))
    raw = b"From: grace@example.com\r\nSubject: Hello\r\n\r\nDear Ada"
    own = store.intake.add(NewMessage(user=store.users.get(user), mailbox=box, raw=raw))
    assert own["uid"] == 101
    stored = store.databases.main["messages"].find_one({"uid": 101})
    assert {name: type(value) for name, value in rows[0].items()} == {
        name: type(value) for name, value in (stored or {}).items()
    }
    assert store.mailbox_counts.of([store.mailboxes.get(user, box["_id"])])[box["_id"]] == (101, 11)
    assert store.users.get(user)["storageUsed"] == sum(row["size"] for row in rows) + own["size"]
    assert sum("quokka" in row["text"] for row in rows) == RARE


def test_what_is_measured_finds_something_without_a_scan(store: Store) -> None:
    user = make_user(store, "ada")
    places: list[Any] = [(user, fill(store, user, 1000)["_id"])]
    for name, work in works(store, places).items():
        cost = measure(store, work, *places[0])
        assert (cost.found, cost.scans) == (True, False), name
