"""Expiry: what goes to the archive, what goes for good, and that no attachment is left or lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import Binary, ObjectId

from jobs.sweep import Sweep
from storage.mailboxes.retention import milliseconds
from storage.messages.intake import NewMessage
from storage.store import Store
from tests.jobs.conftest import HandClock
from tests.rows import Row

Make = Callable[..., ObjectId]
PDF = "Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"


def with_files(*contents: str) -> bytes:
    parts = "".join(f"--b\r\n{PDF}{content}\r\n" for content in contents)
    head = "From: <g@example.com>\r\nSubject: Files\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    return f"{head}--b\r\nContent-Type: text/plain\r\n\r\nSee\r\n{parts}--b--\r\n".encode()


def add(store: Store, user: ObjectId, *contents: str, flags: tuple[str, ...] = ()) -> Row:
    box = store.mailboxes.by_path(user, "INBOX")
    raw = with_files(*(contents or ("aGVsbG8=",)))
    return store.intake.add(NewMessage(user=store.users.get(user), mailbox=box, raw=raw, flags=flags))


def change(store: Store, message: Row, collection: str = "messages", **fields: Any) -> None:
    store.databases.main[collection].update_one({"_id": message["_id"]}, {"$set": fields})


def counts(store: Store) -> list[int]:
    return sorted(row["metadata"]["c"] for row in store.databases.gridfs["attachments.files"].find({}))


def number(store: Store, collection: str) -> int:
    return store.databases.main[collection].count_documents({})


def test_a_copy_takes_no_files_from_a_message_that_is_there(store: Store, make_user: Make) -> None:
    """A WildDuck that ended while it deleted or restored a message leaves both, with one reference."""
    message = add(store, make_user())
    store.databases.main["archived"].insert_one({**message, "exp": True, "rdate": 1})
    assert Sweep(store).run() == {"messages": 0, "archived": 1, "attachments": 0, "audits": 0}
    assert counts(store) == [1]


def test_the_way_of_a_message_from_expiry_to_nothing(store: Store, make_user: Make, clock: HandClock) -> None:
    user = make_user()
    message = add(store, user, "aGVsbG8=", "aGVsbG8=", "d29ybGQ=")
    add(store, user, "d29ybGQ=")
    assert counts(store) == [2, 2]
    change(store, message, exp=True, rdate=milliseconds(clock.now) + 1)
    assert Sweep(store).run() == {"messages": 0, "archived": 0, "attachments": 0, "audits": 0}
    clock.move(seconds=1)
    assert Sweep(store).run() == {"messages": 1, "archived": 0, "attachments": 0, "audits": 0}
    assert (number(store, "messages"), number(store, "archived")) == (1, 1)
    assert counts(store) == [2, 2], "the archived one still has its files"
    journal = list(store.databases.main["journal"].find({"command": "EXPUNGE"}))
    assert [entry["message"] for entry in journal] == [message["_id"]]
    left = store.databases.main["messages"].find_one({})
    assert left
    assert store.users.get(user)["storageUsed"] == left["size"]
    clock.move(days=25)
    assert Sweep(store).run() == {"messages": 0, "archived": 1, "attachments": 0, "audits": 0}
    assert counts(store) == [0, 1], "a file that was used twice is given back twice"
    clock.move(hours=23)
    assert Sweep(store).run() == {"messages": 0, "archived": 0, "attachments": 0, "audits": 0}
    clock.move(hours=2)
    assert Sweep(store).run() == {"messages": 0, "archived": 0, "attachments": 1, "audits": 0}
    assert counts(store) == [1]
    chunks = store.databases.gridfs["attachments.chunks"]
    assert chunks.count_documents({}) == 1


@pytest.mark.parametrize(
    ("fields", "archived"),
    [({}, 1), ({"draft": True}, 1), ({"copied": True}, 0), ({"userDeleted": True}, 0)],
)
def test_what_is_archived(
    store: Store, make_user: Make, clock: HandClock, fields: dict[str, Any], archived: int
) -> None:
    change(store, add(store, make_user()), exp=True, rdate=milliseconds(clock.now), **fields)
    assert (Sweep(store).run() or {})["messages"] == 1
    assert number(store, "archived") == archived
    assert counts(store) == [archived]


def test_one_bad_message_keeps_none_of_the_others(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs import sweep

    monkeypatch.setattr(sweep, "_AT_ONCE", 2)
    user = make_user()
    messages = [add(store, user) for _ in range(5)]
    for message in messages:
        change(store, message, exp=True, rdate=milliseconds(clock.now))
    change(store, messages[0], size="not a number")
    assert (Sweep(store).run() or {})["messages"] == 4
    assert [row["_id"] for row in store.databases.main["messages"].find({})] == [messages[0]["_id"]]
    archived = list(store.databases.main["archived"].find({}))
    change(store, archived[0], "archived", mimeTree={"attachmentMap": {"ATT1": "x"}})
    clock.move(days=30)
    assert (Sweep(store).run() or {})["archived"] == 3
    assert [row["_id"] for row in store.databases.main["archived"].find({})] == [archived[0]["_id"]]


def test_a_file_that_is_used_again_stays_whole(store: Store, make_user: Make, clock: HandClock) -> None:
    user = make_user()
    message = add(store, user)
    store.removal.delete_all(user, message["mailbox"], skip_archive=True)
    assert counts(store) == [0]
    clock.move(days=2)
    (orphan,) = store.attachments.orphans(10)
    again = add(store, user)
    assert not store.remove_orphan(orphan)
    assert counts(store) == [1]
    source = b"".join(store.messages.source(store.messages.find(user, again["mailbox"], again["uid"])))
    assert b"aGVsbG8=" in source


@pytest.mark.parametrize("metadata", [{"c": 0, "m": 5}, {"c": -1, "m": 0}, {"c": 1, "m": 0}])
def test_files_whose_counts_do_not_agree_stay(
    store: Store, clock: HandClock, metadata: dict[str, int]
) -> None:
    file = {"_id": Binary(b"x" * 32), "metadata": metadata}
    store.databases.gridfs["attachments.files"].insert_one(file)
    clock.move(days=30)
    assert store.attachments.orphans(10) == []


def test_a_message_that_lives_on_is_not_deleted(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its date is lifted between the look and the deletion."""
    message = add(store, make_user())
    change(store, message, exp=True, rdate=milliseconds(clock.now))
    run = store.transactions.run

    def lifted(steps: Any) -> Any:
        change(store, message, exp=False)
        return run(steps)

    monkeypatch.setattr(store.transactions, "run", lifted)
    Sweep(store).run()
    assert (number(store, "messages"), number(store, "archived")) == (1, 0)


def test_what_has_expired_is_read_from_an_index(store: Store, make_user: Make, clock: HandClock) -> None:
    user = make_user()
    for _ in range(10):
        add(store, user)
    wanted = {"exp": True, "rdate": {"$lte": milliseconds(clock.now)}, "_id": {"$nin": []}}
    for collection in ("messages", "archived"):
        plan = store.databases.main[collection].find(wanted).hint("retention_time").explain()
        assert plan["executionStats"]["totalDocsExamined"] == 0
    stats = store.databases.gridfs["attachments.files"].find(store.attachments._orphaned()).explain()
    assert "related_attachments_cu" in str(stats["queryPlanner"]["winningPlan"])
