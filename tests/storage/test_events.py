"""Telling events: with the change or not at all, in the order of the changes, and for nothing where nobody listens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from problems import MailboxNotFound, Problem
from storage.events.webhooks import patterns_of
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account, together
from tests.storage.profiler import entries

URL = "https://hooks.example.com/"
COLLECTIONS = ("webhookqueue", "webhooklanes", "eventorder", "webhooks")


@pytest.fixture(autouse=True)
def _empty(store: Store, lone_store: Store) -> Iterator[None]:
    yield
    for name in COLLECTIONS:
        store.databases.main[name].delete_many({})
    for one in (store, lone_store):
        one.webhooks._known = None


def bodies(store: Store, **wanted: Any) -> list[Row]:
    rows = store.databases.main["webhookqueue"].find(wanted)
    return [row["body"] for row in rows.sort([("hook", 1), ("user", 1), ("n", 1)])]


@pytest.mark.parametrize(
    ("kind", "patterns"),
    [
        ("user.created", {"*", "user.*", "user.created"}),
        ("user.delete.started", {"*", "user.*", "user.delete.*", "user.delete.started"}),
        ("forward added", {"*", "forward added"}),
        ("message.received", {"message.*", "message.received"}),
    ],
)
def test_patterns_match_at_any_depth(kind: str, patterns: set[str]) -> None:
    assert patterns_of(kind) == patterns


def test_who_is_told(store: Store) -> None:
    ada, bob = ObjectId(), ObjectId()
    hooks = {
        name: store.webhooks.create(types, URL, user)
        for name, types, user in (
            ("all", ["*"], None),
            ("deep", ["address.user.*"], None),
            ("ada", ["address.*", "address.user.created"], ada),
            ("bob", ["*"], bob),
            ("none", [], None),
            ("other", ["address", "user.*", "address.user", "*.created"], None),
        )
    }
    store.webhooks.create(["*"], "smtp://mx.example.com", None)

    def told(kind: str, user: ObjectId | None, **fields: Any) -> set[str]:
        store.databases.main["webhookqueue"].delete_many({})
        store.events.emit(kind, user=user, **fields)
        rows = list(store.databases.main["webhookqueue"].find({}))
        assert len({row["body"]["id"] for row in rows}) == len(rows)
        assert len({row["body"]["id"].partition(":")[0] for row in rows}) == 1
        return {name for name, hook in hooks.items() if hook in [row["hook"] for row in rows]}

    assert told("address.user.created", ada, address=ObjectId(), value="x") == {"all", "deep", "ada"}
    assert told("address.user.created", bob, address=ObjectId(), value="x") == {"all", "deep", "bob"}
    forwarded = told("address.forwarded.created", None, address=ObjectId(), value="x")
    assert forwarded == {"all"}, "what belongs to no account is not for hooks of one"


def test_an_entry_as_it_stands_on_disk(store: Store) -> None:
    user, mailbox = ObjectId(), ObjectId()
    hook = store.webhooks.create(["*"], "https://u:secret@Hooks.example.com:8443/path", user)
    store.events.emit("mailbox.created", user=user, mailbox=mailbox, path="Work")
    (row,) = store.databases.main["webhookqueue"].find({})
    assert row == {
        "_id": row["_id"], "lane": f"{hook}:{user}", "n": row["n"], "hook": hook, "user": user, "fresh": True,
        "target": "https://hooks.example.com:8443", "type": "mailbox.created", "since": row["since"],
        "body": {
            "id": row["body"]["id"], "time": row["body"]["time"], "ev": "mailbox.created", "user": str(user),
            "mailbox": str(mailbox), "path": "Work",
        },
    }  # fmt: skip


def test_only_what_the_catalogue_knows_is_told(store: Store) -> None:
    with pytest.raises(KeyError):
        store.events.emit("user.unknown", user=ObjectId())
    with pytest.raises(TypeError):
        store.events.emit("user.created")
    with pytest.raises(TypeError):
        store.events.emit("domainalias.created", user=ObjectId())


def test_a_change_that_is_taken_back_is_not_told(ada: Account) -> None:
    store = ada.store
    store.webhooks.create(["*"], URL, None)

    def steps(session: Any) -> None:
        store.events.emit("mailbox.created", user=ada.id, session=session, mailbox=ObjectId(), path="x")
        raise MailboxNotFound

    with pytest.raises(Problem):
        store.events.in_transaction(ada.id, steps)
    assert bodies(store) == []


def test_a_change_that_cannot_be_told_is_not_made(ada: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ada.store
    store.webhooks.create(["*"], URL, ada.id)

    def full(rows: Any, session: Any) -> None:
        raise OSError("no room left")

    with monkeypatch.context() as patch:
        patch.setattr(store.webhook_queue, "enqueue", full)
        with pytest.raises(OSError, match="no room"):
            store.mailboxes.create(ada.id, "Work", {}, 10)
        with pytest.raises(OSError, match="no room"):
            store.filters.create(ada.id, {"query": {}, "action": {}}, 10)
    with pytest.raises(Problem, match="NoSuchMailbox"):
        ada.box("Work")
    assert ada.all("filters") == []
    store.mailboxes.create(ada.id, "Work", {}, 10)
    assert [body["path"] for body in bodies(store)] == ["Work"]


def test_each_kind_of_server_tells(account: Account) -> None:
    store = account.store
    store.webhooks.create(["*"], URL, account.id)
    box = store.mailboxes.create(account.id, "Work", {}, 10)
    store.mailboxes.update(store.mailboxes.get(account.id, box), "Play", {})
    store.mailboxes.delete(store.mailboxes.get(account.id, box))
    kinds = ["mailbox.created", "mailbox.renamed", "mailbox.deleted"]
    assert [body["ev"] for body in bodies(store)] == kinds


def test_events_of_an_account_are_in_the_order_of_their_changes(ada: Account) -> None:
    """Many change one mailbox at once; what is told must be one chain of names."""
    store = ada.store
    store.webhooks.create(["*"], URL, ada.id)
    box = store.mailboxes.create(ada.id, "0", {}, 10)

    def rename(number: int) -> None:
        store.mailboxes.update(store.mailboxes.get(ada.id, box), f"name {number}", {})

    together(24, rename)
    told = [body for body in bodies(store) if body["ev"] == "mailbox.renamed"]
    assert len(told) == 24
    assert told[-1]["current"] == store.mailboxes.get(ada.id, box)["path"]
    numbers = [row["n"] for row in store.databases.main["webhookqueue"].find({})]
    assert len(set(numbers)) == 25


def test_an_event_never_appears_before_an_earlier_one(ada: Account) -> None:
    """The earlier change holds its number while it is not committed; the later one waits for it."""
    store = ada.store
    store.webhooks.create(["*"], URL, ada.id)
    first_has_told, done = threading.Event(), threading.Event()
    seen: list[list[str]] = []

    def tell(path: str, session: Any) -> None:
        store.events.emit("mailbox.deleted", user=ada.id, session=session, mailbox=ObjectId(), path=path)

    def slow(session: Any) -> None:
        tell("first", session)
        first_has_told.set()
        done.wait(0.5)

    def second() -> None:
        first_has_told.wait()
        store.transactions.run(lambda session: tell("second", session))
        seen.append([body["path"] for body in bodies(store)])

    thread = threading.Thread(target=second)
    thread.start()
    store.transactions.run(slow)
    thread.join()
    assert seen == [["first", "second"]]


def test_numbers_go_on_when_the_counter_has_expired(ada: Account) -> None:
    store = ada.store
    store.webhooks.create(["*"], URL, ada.id)
    store.mailboxes.create(ada.id, "one", {}, 10)
    store.databases.main["eventorder"].delete_many({})
    store.mailboxes.create(ada.id, "two", {}, 10)
    assert [body["path"] for body in bodies(store)] == ["one", "two"]


CHANGES: dict[str, Callable[[Account], Any]] = {
    "a mailbox": lambda account: account.store.mailboxes.create(account.id, "Work", {}, 10),
    "a filter": lambda account: account.store.filters.create(account.id, {"query": {}, "action": {}}, 10),
    "a second factor": lambda account: account.store.second_factors.enable_custom(account.id),
    "a message": lambda account: account.add(),
}


def collections_used(store: Store, work: Callable[[], Any]) -> set[str]:
    """The collections that `work` reads or writes."""
    return {row["ns"].partition(".")[2] for row in entries(store.databases.main, work)}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("listener", ["nobody", "another account", "other events"])
def test_where_nobody_listens_nothing_is_written_for_it(store: Store, change: str, listener: str) -> None:
    ada, bob = Account(store), Account(store)
    if listener == "another account":
        store.webhooks.create(["*"], URL, bob.id)
    if listener == "other events":
        store.webhooks.create(["dkim.*"], URL, None)
    store.webhooks.listening(ada.id)
    used = collections_used(store, lambda: CHANGES[change](ada))
    assert used, "the profiler saw something"
    assert not used & set(COLLECTIONS), "neither written nor looked up"


def test_who_listens_is_known_for_five_seconds(mongo: MongoClient[dict[str, Any]], store: Store) -> None:
    moment = datetime.now(UTC)
    here = Store(mongo, store.databases.names, lambda: moment)
    ada = ObjectId()
    assert here.webhooks.listening(ada) == []
    common = store.webhooks.create(["*"], URL, None)
    bound = store.webhooks.create(["*"], URL, ada)
    moment += timedelta(seconds=5)
    assert here.webhooks.listening(ada) == [], "still what was known"
    moment += timedelta(seconds=1)
    assert [hook.id for hook in here.webhooks.listening(ada)] == [common, bound]
    assert [hook.id for hook in here.webhooks.listening(None)] == [common]
    mine = here.webhooks.create(["*"], URL, ada)
    assert mine in [hook.id for hook in here.webhooks.listening(ada)], "an own change is known at once"


def test_a_hook_that_somebody_stored_wrongly_stops_nothing(ada: Account) -> None:
    hooks: list[Row] = [
        {"user": None, "type": ["*"]},
        {"user": ada.id, "type": "*", "url": URL},
        {"user": ada.id, "type": [5, None], "url": URL},
        {"type": ["*"], "url": "https://[::1"},
        {"user": ada.id, "type": ["*"], "url": 5},
        {"user": None, "type": ["*"], "url": "https://x:port/"},
    ]
    ada.store.databases.users["webhooks"].insert_many(hooks)
    good = ada.store.webhooks.create(["*"], URL, ada.id)
    ada.store.mailboxes.create(ada.id, "Work", {}, 10)
    assert [row["hook"] for row in ada.store.databases.main["webhookqueue"].find({})] == [good]
