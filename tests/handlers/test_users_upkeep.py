"""recalculateQuota, recalculateQuotaAllUsers, logoutUser, resetUserPassword, and the notices to IMAP servers."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from jobs.runner import Runner
from server.contract.operations import Contract
from server.http.app import create_app
from server.settings.table import Settings
from storage.events.wildduck import WildDuck
from storage.store import Store
from tests.conftest import PASSWORD, Client
from tests.rows import Row


class FakeRedis:
    """Takes commands of the Redis protocol and remembers what is published."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"
        self.published: list[tuple[bytes, bytes]] = []
        self.deleted: list[bytes] = []
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            while header := lines.readline():
                words = [self._word(lines) for _ in range(int(header[1:]))]
                if words[0] == b"PUBLISH":
                    self.published.append((words[1], words[2]))
                if words[0] == b"DEL":
                    self.deleted += words[1:]
                answer = {b"PUBLISH": b":1\r\n", b"DEL": b":1\r\n", b"HELLO": b"-ERR unknown command\r\n"}
                connection.sendall(answer.get(words[0], b"+OK\r\n"))

    @staticmethod
    def _word(lines: Any) -> bytes:
        length = int(lines.readline()[1:])
        return bytes(lines.read(length + 2)[:-2])

    def close(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.close()


@pytest.fixture
def redis() -> Iterator[FakeRedis]:
    server = FakeRedis()
    yield server
    server.close()


@pytest.fixture
def beside(
    mongo: MongoClient[dict[str, Any]], store: Store, settings: Settings, contract: Contract
) -> Callable[[str], Client]:
    """`beside(url)`: a client of an app beside a WildDuck whose Redis has this URL."""

    def make(url: str) -> Client:
        return Client(
            create_app(settings, Store(mongo, store.databases.names, wildduck=WildDuck(url)), contract)
        )

    return make


@pytest.fixture
def client(beside: Callable[[str], Client], redis: FakeRedis) -> Client:
    """All tests here run beside a WildDuck."""
    return beside(redis.url)


@pytest.fixture
def told(redis: FakeRedis) -> FakeRedis:
    """The Redis that the app publishes to."""
    return redis


def test_notices_as_wildduck_reads_them(redis: FakeRedis) -> None:
    user, mailbox = ObjectId("5d48a1f5fd1a4d1be0d4a1c1"), ObjectId("5d48a1f5fd1a4d1be0d4a1c2")
    wildduck = WildDuck(redis.url)
    wildduck.changed(user, mailbox)
    wildduck.send(user, {"command": "LOGOUT", "reason": "Bye"})
    wildduck.send(user, {"command": "DROP", "mailbox": mailbox})
    wildduck.close()
    assert redis.deleted == [b"total:5d48a1f5fd1a4d1be0d4a1c2", b"unseen:5d48a1f5fd1a4d1be0d4a1c2"]
    assert redis.published == [
        (b"wd_events", b'{"e":"5d48a1f5fd1a4d1be0d4a1c1"}'),
        (b"wd_events", b'{"e":"5d48a1f5fd1a4d1be0d4a1c1","p":{"command":"LOGOUT","reason":"Bye"}}'),
        (
            b"wd_events",
            b'{"e":"5d48a1f5fd1a4d1be0d4a1c1","p":{"command":"DROP","mailbox":"5d48a1f5fd1a4d1be0d4a1c2"}}',
        ),
    ]
    assert len(redis.published[0][1]) == 32, "WildDuck has a fast path for this length"


def test_a_redis_that_is_down_fails_no_request(beside: Callable[[str], Client], ada: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = beside(f"redis://127.0.0.1:{port}/0")
    assert client.put(f"/users/{ada}/logout", json={}).json == {"success": True}


def test_a_redis_that_hangs_is_left_alone(beside: Callable[[str], Client], ada: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = beside(f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        began = time.monotonic()
        for _ in range(20):
            assert client.put(f"/users/{ada}/logout", json={}).json == {"success": True}
        assert time.monotonic() - began < 10, "only the first one waits"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"reason": "Bye"}, "Bye"),
        ({}, "Logout requested from API"),
        ({"reason": ""}, "Logout requested from API"),
    ],
)
def test_logout(client: Any, told: FakeRedis, ada: str, body: dict[str, Any], reason: str) -> None:
    assert client.put(f"/users/{ada}/logout", json=body).json == {"success": True}
    notice = f'{{"e":"{ada}","p":{{"command":"LOGOUT","reason":"{reason}"}}}}'
    assert told.published == [(b"wd_events", notice.encode())]


@pytest.mark.parametrize(
    ("change", "logs_out"),
    [
        ({"password": "new one"}, True),
        ({"suspended": True}, True),
        ({"disabled": True}, True),
        ({"disabled": False, "suspended": False, "name": "Ada"}, False),
    ],
)
def test_changes_that_end_sessions(
    client: Any, app: Any, told: FakeRedis, ada: str, change: dict[str, Any], logs_out: bool
) -> None:
    token = client.post("/authenticate", json={"username": "ada", "password": PASSWORD, "token": True}).json[
        "token"
    ]
    client.put(f"/users/{ada}", json=change)
    assert len(told.published) == logs_out
    ended = Client(app, token).get("/users/me").status_code == 403
    assert ended is logs_out


def test_deleting_ends_sessions(client: Any, told: FakeRedis, ada: str) -> None:
    client.delete(f"/users/{ada}")
    assert [b"LOGOUT" in notice for _, notice in told.published] == [True]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "at_fault"),
    [
        ("PUT", "/users/{unknown}/logout", {}, 404, None),
        ("PUT", "/users/{ada}/logout", {"reason": "x" * 129}, 400, {"reason"}),
        ("PUT", "/users/{ada}/logout", {"reason": 5, "foo": 1}, 400, {"reason", "foo"}),
        ("POST", "/users/{unknown}/password/reset", {}, 404, None),
        ("POST", "/users/{ada}/password/reset", {"validAfter": "soon"}, 400, {"validAfter"}),
        ("POST", "/users/{ada}/password/reset", {"validAfter": True}, 400, {"validAfter"}),
        ("POST", "/users/{unknown}/quota/reset", {}, 404, None),
        ("POST", "/users/12/quota/reset", {}, 400, {"user"}),
    ],
)
def test_refused(
    client: Any, ada: str, method: str, path: str, body: Any, status: int, at_fault: set[str] | None
) -> None:
    answer = client.request(method, path.format(ada=ada, unknown=ObjectId()), json=body)
    assert answer.status_code == status, answer.json
    assert answer.json["code"] == ("InputValidationError" if at_fault else "UserNotFound")
    assert set(answer.json.get("details", ())) == (at_fault or set())


def test_a_quota_is_counted_anew(client: Any, store: Store, ada: str, put: Any) -> None:
    put()
    right = store.users.get(ObjectId(ada))["storageUsed"]
    store.databases.users["users"].update_one({"_id": ObjectId(ada)}, {"$set": {"storageUsed": 3}})
    answer = client.post(f"/users/{ada}/quota/reset").json
    assert answer == {"success": True, "storageUsed": right, "previousStorageUsed": 3}
    again = client.post(f"/users/{ada}/quota/reset").json
    assert again == {"success": True, "storageUsed": right, "previousStorageUsed": right}


def test_all_quotas_are_counted_anew_by_one_job(client: Any, store: Store, ada: str) -> None:
    task = client.post("/quota/reset").json["task"]
    assert client.post("/quota/reset").json == {"success": True, "task": task}
    store.databases.users["users"].update_one({"_id": ObjectId(ada)}, {"$set": {"storageUsed": 3}})
    assert Runner(store).run_one()
    assert store.users.get(ObjectId(ada))["storageUsed"] == 0
    assert client.post("/quota/reset").json["task"] != task


def test_a_temporary_password(client: Any, app: Any, store: Store, ada: str) -> None:
    login = {"username": "ada", "password": PASSWORD, "token": True}
    token = client.post("/authenticate", json=login).json["token"]
    answer = client.post(f"/users/{ada}/password/reset", json={"sess": "s"}).json
    assert re.fullmatch("[A-Za-z0-9]{12}", answer["password"])
    valid_after = datetime.fromisoformat(answer["validAfter"])
    assert abs(valid_after - datetime.now(UTC)) < timedelta(minutes=1)
    temporary: Row = store.users.get(ObjectId(ada))["tempPassword"]
    assert temporary.keys() == {"validAfter", "password", "created"}
    assert temporary["validAfter"] == temporary["created"] == valid_after
    assert Client(app, token).get("/users/me").json["code"] == "InvalidToken"
    found = client.post("/authenticate", json={"username": "ada", "password": answer["password"]}).json
    assert (found["success"], found["requirePasswordChange"]) == (True, True)
    assert client.post("/authenticate", json=login).json["success"], "the old one stays good"
    assert client.get(f"/users/{ada}").json["requirePasswordChange"] is True
    assert store.databases.users["authlog"].count_documents({"user": ObjectId(ada), "action": "reset"}) == 1


def test_a_temporary_password_for_later_counts_its_day_from_then(client: Any, store: Store, ada: str) -> None:
    later = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    answer = client.post(f"/users/{ada}/password/reset", json={"validAfter": later.isoformat()}).json
    assert datetime.fromisoformat(answer["validAfter"]) == later
    account: Row = store.users.get(ObjectId(ada))
    assert account["tempPassword"]["created"] == later
    early = client.post("/authenticate", json={"username": "ada", "password": answer["password"]})
    assert (early.status_code, early.json["code"]) == (403, "TempPasswordNotYetValid")
