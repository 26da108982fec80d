"""A request's id on its way into the database, and the log of slow operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

import pytest
import structlog
from bson import ObjectId
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from handlers.call import Call
from handlers.users import create_user
from server.contract.operations import Contract
from server.http.app import create_app
from server.metrics.counters import Metrics
from server.processes import request_watch as watching
from server.processes.mongod import Mongod
from server.processes.request_watch import RequestWatch
from server.settings.table import Settings
from storage.store import Store
from tests.conftest import Client

WITHOUT_COMMENT = {"commitTransaction", "abortTransaction", "endSessions", "hello", "ping"}


class Recorder(CommandListener):
    """The commands as they go to the database."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Of no interest."""


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make_store(mongod: Mongod, store: Store, recorder: Recorder) -> Iterator[Callable[..., Store]]:
    """`make_store(slow_ms=0)`: the test's store with a watch of its own."""
    clients: list[MongoClient[dict[str, Any]]] = []

    def make(comments: bool = True, slow_ms: int = 0, metrics: Metrics | None = None) -> Store:
        client: MongoClient[dict[str, Any]] = MongoClient(mongod.uri, event_listeners=[recorder])
        clients.append(client)
        watch = RequestWatch(comments=comments, slow_ms=slow_ms, metrics=metrics)
        return Store(client, store.databases.names, watch=watch)

    yield make
    for client in clients:
        client.close()


def a_days_work(client: Client) -> str:
    """Requests that read, write, count, and span documents. Returns the account's id."""
    body = {"username": "lovelace", "password": "correct horse", "address": "lovelace@example.com"}
    user: str = client.post("/users", json=body, headers={"X-Request-Id": "request-0001"}).json["id"]
    base = f"/users/{user}/mailboxes"
    inbox = client.get(base, headers={"X-Request-Id": "request-0002"}).json["results"][0]["id"]
    raw = {"Content-Type": "message/rfc822", "X-Request-Id": "request-0003"}
    client.post(f"{base}/{inbox}/messages", data=b"Subject: a\r\n\r\nb", headers=raw)
    client.get(f"{base}/{inbox}/messages", headers={"X-Request-Id": "request-0004"})
    client.get(f"/users/{user}/search?query=b", headers={"X-Request-Id": "request-0005"})
    client.delete(f"{base}/{inbox}/messages/1", headers={"X-Request-Id": "request-0006"})
    return user


def test_every_command_of_a_request_carries_its_id(
    make_store: Callable[..., Store], recorder: Recorder, settings: Settings, contract: Contract
) -> None:
    app = create_app(settings, make_store(), contract)
    recorder.commands.clear()
    a_days_work(Client(app))
    asked = [command for command in recorder.commands if not WITHOUT_COMMENT & set(command)]
    bare = [next(iter(command.items())) for command in asked if "comment" not in command]
    assert {collection for _, collection in bare} <= {"attachments.files", "attachments.chunks", "mail.files"}
    assert {command["comment"] for command in asked if "comment" in command} == {
        f"request-000{n}" for n in range(1, 7)
    }


def test_a_database_that_takes_no_comments_gets_none(
    make_store: Callable[..., Store], recorder: Recorder, settings: Settings, contract: Contract
) -> None:
    a_days_work(Client(create_app(settings, make_store(comments=False), contract)))
    assert not any("comment" in command for command in recorder.commands)


def test_work_outside_of_requests_carries_no_id(make_store: Callable[..., Store], recorder: Recorder) -> None:
    store = make_store()
    recorder.commands.clear()
    body = {"username": "ada", "password": "x" * 9, "address": "a@b.example"}
    Context().run(create_user, call=Call(store=store), body=body)
    assert not any("comment" in command for command in recorder.commands)


def test_a_slow_operation_is_told_with_its_shape_and_no_value(
    make_store: Callable[..., Store],
    settings: Settings,
    contract: Contract,
    logged: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = Metrics()
    store = make_store(slow_ms=1, metrics=metrics)
    store.databases.watch._slow = 0.0  # type: ignore[attr-defined]
    log = logged("json")
    monkeypatch.setattr(watching, "log", structlog.get_logger())
    user = a_days_work(Client(create_app(settings, store, contract)))
    lines = [line for line in log.lines if line["event"] == "slow database operation"]
    search = next(
        line for line in lines if line["id"] == "request-0005" and line["operation"] == "searchMessages"
    )
    assert search["ms"] >= 0
    assert {line["command"] for line in lines} >= {
        "find",
        "aggregate",
        "insert",
        "update",
        "commitTransaction",
    }
    for secret in (user, "lovelace", "example.com", "Subject"):
        assert not any(secret in str(line) for line in lines), secret
    lookup = next(line for line in lines if line["collection"] == "messages" and line["command"] == "insert")
    assert lookup["shape"][0]["user"] == "?"
    assert b'mallard_database_slow_total{command="find"}' in metrics.page()


def test_a_quick_one_is_not_told(
    make_store: Callable[..., Store], settings: Settings, contract: Contract, logged: Callable[[str], Any]
) -> None:
    log = logged("json")
    a_days_work(Client(create_app(settings, make_store(slow_ms=60_000), contract)))
    assert {line["event"] for line in log.lines} == {"request"}


def test_collections_keep_their_watch_with_other_options(make_store: Callable[..., Store]) -> None:
    main = make_store().databases.main
    kinds = {
        type(main["users"]).__name__,
        type(main.get_collection("users")).__name__,
        type(main["users"].with_options()).__name__,
        type(main.users).__name__,
    }
    assert kinds == {"WatchedCollection"}
    assert main["users"].find_one({"_id": ObjectId()}) is None
