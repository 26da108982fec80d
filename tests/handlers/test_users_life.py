"""deleteUser, restoreUserInfo, restoreUser: an account's end, and how it comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from pymongo import MongoClient

from jobs.runner import Runner
from jobs.sweep import Sweep
from problems import Problem
from server.contract.operations import Contract
from server.http.app import create_app
from server.settings.table import Settings
from storage.store import Store
from tests.conftest import PASSWORD, Client

FOREVER = "2090-01-01T00:00:00Z"
PDF = "Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"
MESSAGE = (
    "From: <g@example.com>\r\nTo: <h@example.com>\r\nSubject: Files\r\n"
    f"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{PDF}--b\r\n{PDF}--b--\r\n"
)
# What outlives an account: its security log, the journal and settings, which are no one's or end by themselves.
OUTLIVE = {"finishedtasks", "notices", "authlog", "journal", "domaincache", "counters", "locks"}


def upload(client: Any, user: str, mailbox: str = "INBOX") -> str:
    box = client.get(f"/users/{user}/mailboxes/resolve", query_string={"path": mailbox}).json["id"]
    place = f"/users/{user}/mailboxes/{box}/messages"
    answer = client.post(place, data=MESSAGE.encode(), headers={"Content-Type": "message/rfc822"})
    assert answer.status_code == 200, answer.json
    return f"{place}/{answer.json['message']['id']}"


def everything(store: Store) -> dict[str, int]:
    """How many documents there are in each collection that has any."""
    main = store.databases.main
    counted = {name: main[name].count_documents({}) for name in main.list_collection_names()}
    return {name: count for name, count in sorted(counted.items()) if count and name not in OUTLIVE}


def furnish(client: Any, store: Store, user: str) -> None:
    """Give an account something in every place that can hold something."""
    client.post(f"/users/{user}/addresses", json={"address": "second@example.com"})
    client.post(f"/users/{user}/addresses", json={"address": "third@example.com", "tags": ["x"]})
    upload(client, user)
    client.delete(upload(client, user))
    box = client.post(f"/users/{user}/mailboxes", json={"path": "Work"}).json["id"]
    upload(client, user, "Work")
    assert client.delete(f"/users/{user}/mailboxes/{box}").status_code == 200
    for name in ("asps", "filters", "autoreplies", "webhooks"):
        store.databases.main[name].insert_one({"user": ObjectId(user)})
    file = {"_id": ObjectId(), "metadata": {"user": ObjectId(user)}}
    store.databases.gridfs["storage.files"].insert_one(file)
    store.databases.gridfs["storage.chunks"].insert_one({"files_id": file["_id"], "n": 0, "data": b"x"})


def log_in(client: Any) -> str:
    body = {"username": "ada", "password": PASSWORD, "token": True}
    return str(client.post("/authenticate", json=body).json.get("token"))


def test_deleted_for_later_and_restored(client: Any, app: Flask, store: Store, ada: str) -> None:
    furnish(client, store, ada)
    token = log_in(client)
    before, account = everything(store), client.get(f"/users/{ada}").json
    addresses = client.get(f"/users/{ada}/addresses").json["results"]
    answer = client.delete(f"/users/{ada}", query_string={"deleteAfter": FOREVER}).json
    assert answer == {
        "success": True, "code": "TaskScheduled", "user": ada, "addresses": {"deleted": 3},
        "deleteAfter": "2090-01-01T00:00:00.000Z", "task": answer["task"],
    }  # fmt: skip
    assert client.get(f"/users/{ada}").json["code"] == "UserNotFound"
    assert Client(app, token).get("/users/me").json["code"] == "InvalidToken"
    assert store.addresses.resolve("ada@example.com") is None
    assert not Runner(store).run_one(), "not before its time"

    info = client.get(f"/users/{ada}/restore").json
    deleted = datetime.fromisoformat(info.pop("deleted"))
    assert abs(deleted - datetime.now(UTC)) < timedelta(minutes=1)
    assert info == {
        "success": True, "user": ada, "username": "ada", "storageUsed": account["limits"]["quota"]["used"],
        "tags": [], "recoverableAddresses": ["ada@example.com", "second@example.com", "third@example.com"],
    }  # fmt: skip
    assert client.post(f"/users/{ada}/restore").json == {
        "success": True, "code": "TaskCancelled", "user": ada, "task": answer["task"],
        "addresses": {"recovered": 3, "main": "ada@example.com"},
    }  # fmt: skip

    assert client.get(f"/users/{ada}").json == account
    assert client.get(f"/users/{ada}/addresses").json["results"] == addresses
    assert everything(store) == {name: n for name, n in before.items() if name != "accesstokens"}
    inbox = client.get(f"/users/{ada}/mailboxes/resolve", query_string={"path": "INBOX"}).json["id"]
    listed = client.get(f"/users/{ada}/mailboxes/{inbox}/messages").json["results"]
    assert [row["subject"] for row in listed] == ["Files"]
    source = client.get(f"/users/{ada}/mailboxes/{inbox}/messages/{listed[0]['id']}/message.eml")
    assert source.data == MESSAGE.encode()
    assert Client(app, token).get("/users/me").json["code"] == "InvalidToken", "old sessions stay ended"
    assert len(log_in(client)) == 40
    actions = [row["action"] for row in store.databases.users["authlog"].find({"user": ObjectId(ada)})]
    assert {"delete user", "restore user"} <= set(actions)


def test_deleted_now_and_in_the_end_nothing_is_left(
    client: Any,
    store: Store,
    ada: str,
    make_user: Callable[..., ObjectId],
    mongo: MongoClient[dict[str, Any]],
) -> None:
    client.delete(f"/users/{make_user('bob')}")
    Runner(store).run_one()
    assert everything(store).keys() == {"users", "addresses", "mailboxes"}
    bare = everything(store)
    other = str(make_user("grace"))
    upload(client, other)
    of_others = everything(store)
    furnish(client, store, ada)
    log_in(client)

    assert client.delete(f"/users/{ada}").json["code"] == "TaskScheduled"
    runner = Runner(store)
    assert runner.run_one()
    assert store.tasks.all() == []
    assert client.get(f"/users/{ada}/restore").json["code"] == "AccountNotFound"
    own = {"user": ObjectId(ada)}
    left = {
        name for name in store.databases.main.list_collection_names()
        if store.databases.main[name].count_documents({"$or": [own, {"metadata.user": own["user"]}]})
    }  # fmt: skip
    assert left - OUTLIVE == {"messages", "archived"}
    assert all(row["userDeleted"] for row in store.databases.main["messages"].find(own))

    moment = datetime.now(UTC)
    later = Store(mongo, store.databases.names, lambda: moment)
    for days in (15, 17):
        moment = datetime.now(UTC) + timedelta(days=days)
        Sweep(later).run()
    expected = {
        name: n - bare.get(name, 0) * (name in ("users", "addresses")) for name, n in of_others.items()
    }
    expected["mailboxes"] = 5
    assert everything(store) == {name: n for name, n in expected.items() if n}
    files = list(store.databases.gridfs["attachments.files"].find({}))
    assert [file["metadata"]["c"] for file in files] == [2], "those of the other account"


@pytest.mark.parametrize("kind", ["replica set", "lone server"])
def test_a_job_that_dies_after_any_step_is_carried_to_the_end(
    client: Any, store: Store, ada: str, mongo: MongoClient[dict[str, Any]], kind: str
) -> None:
    """The process dies after each write to the database in turn, until the job gets through."""
    from jobs import accounts as jobs_of_accounts

    furnish(client, store, ada)
    moment = datetime.now(UTC)
    working = Store(mongo, store.databases.names, lambda: moment)
    working.transactions.available = kind == "replica set"
    client.delete(f"/users/{ada}")
    crashes, whole = 0, jobs_of_accounts._remove

    class Crash(BaseException):
        pass

    def dying(some: Store, what: str, user: ObjectId) -> int:
        removed = whole(some, what, user)
        if removed or what == "messages":
            nonlocal crashes
            crashes += 1
            if crashes < 8:
                raise Crash
        return removed

    jobs_of_accounts._remove = dying  # type: ignore[assignment]
    try:
        for _ in range(20):
            moment += timedelta(minutes=11)
            try:
                if not Runner(working).run_one():
                    break
            except Crash:
                assert client.post(f"/users/{ada}/restore").json["code"] == "DeleteInProgress"
    finally:
        jobs_of_accounts._remove = whole
    assert crashes >= 8
    assert everything(store).keys() == {"messages", "archived", "attachments.files", "attachments.chunks"}


def test_deleting_again_moves_the_date(client: Any, store: Store, ada: str) -> None:
    first = client.delete(f"/users/{ada}", query_string={"deleteAfter": FOREVER}).json
    again = client.delete(f"/users/{ada}", query_string={"deleteAfter": "2091-01-01T00:00:00Z"}).json
    assert (again["task"], again["addresses"]) == (first["task"], {"deleted": 0})
    assert again["deleteAfter"] == "2091-01-01T00:00:00.000Z"
    info = client.get(f"/users/{ada}/restore").json
    assert info["recoverableAddresses"] == ["ada@example.com"]
    assert client.delete(f"/users/{ada}", query_string={"deleteAfter": "2001-01-01"}).status_code == 200
    assert Runner(store).run_one(), "a date that is over is now"
    gone = client.delete(f"/users/{ada}")
    assert (gone.status_code, gone.json["code"]) == (404, "UserNotFound")


def test_a_deletion_that_has_not_begun_is_taken_back(client: Any, ada: str, store: Store) -> None:
    client.delete(f"/users/{ada}", query_string={"deleteAfter": "false"})
    assert client.post(f"/users/{ada}/restore").json["code"] == "TaskCancelled"
    assert store.tasks.all() == []


def test_one_without_a_task_comes_back(client: Any, ada: str, store: Store) -> None:
    client.delete(f"/users/{ada}")
    store.databases.main["tasks"].delete_many({})
    answer = client.post(f"/users/{ada}/restore", json={"sess": "s"}).json
    assert answer == {
        "success": True, "code": "RequestProcessed", "user": ada,
        "addresses": {"recovered": 1, "main": "ada@example.com"},
    }  # fmt: skip


def test_names_are_held_while_a_date_is_set(client: Any, ada: str) -> None:
    wanted = [
        ({"username": "a.da", "password": "", "emptyAddress": True}, "UserExistsError"),
        ({"username": "eve", "password": "", "address": "a.da@example.com"}, "AddressExistsError"),
    ]
    client.delete(f"/users/{ada}", query_string={"deleteAfter": FOREVER})
    for body, code in wanted:
        answer = client.post("/users", json=body)
        assert (answer.status_code, answer.json["code"]) == (400, code)
    client.delete(f"/users/{ada}")
    for body, _ in wanted:
        assert client.post("/users", json=body).status_code == 200


def test_a_held_address_is_not_taken_by_another_that_is_renamed(
    client: Any, ada: str, make_user: Any
) -> None:
    eve = make_user("eve")
    (own,) = client.get(f"/users/{eve}/addresses").json["results"]
    team = client.post("/addresses/forwarded", json={"address": "team@example.com"}).json["id"]
    client.post("/addresses/forwarded", json={"address": "ada@example.org"})
    renames: list[tuple[str, dict[str, str]]] = [
        (f"/users/{eve}/addresses/{own['id']}", {"address": "a.da@example.com"}),
        (f"/addresses/forwarded/{team}", {"address": "ada@example.com"}),
        ("/addresses/renameDomain", {"oldDomain": "example.org", "newDomain": "example.com"}),
    ]
    client.delete(f"/users/{ada}", query_string={"deleteAfter": FOREVER})
    for path, body in renames:
        answer = client.put(path, json=body)
        assert (answer.status_code, answer.json["code"]) == (400, "AddressExistsError"), path
    assert client.post(f"/users/{ada}/restore").json["addresses"]["main"] == "ada@example.com"


def test_what_others_took_meanwhile(client: Any, ada: str, make_user: Callable[..., ObjectId]) -> None:
    client.post(f"/users/{ada}/addresses", json={"address": "second@example.com"})
    client.delete(f"/users/{ada}")
    eve = make_user("eve", address="a.d.a@example.com")
    assert client.get(f"/users/{ada}/restore").json["recoverableAddresses"] == ["second@example.com"]
    answer = client.post(f"/users/{ada}/restore").json
    assert answer["addresses"] == {"recovered": 1, "main": "second@example.com"}
    assert client.get(f"/users/{ada}").json["address"] == "second@example.com"
    assert client.get(f"/users/{eve}").json["address"] == "a.d.a@example.com"


def test_a_taken_name_leaves_all_as_it_was(client: Any, store: Store, ada: str, make_user: Any) -> None:
    client.delete(f"/users/{ada}")
    make_user("a.da", address="other@example.com")
    before = everything(store)
    answer = client.post(f"/users/{ada}/restore")
    assert (answer.status_code, answer.json["code"]) == (400, "AccountFound")
    assert everything(store) == before
    assert [task["status"] for task in store.tasks.all()] == ["waiting"]


def test_a_restored_account_is_not_touched_by_a_task_that_is_left(store: Store, ada: str) -> None:
    before = everything(store)
    store.tasks.add("user-delete", {"user": ObjectId(ada)})
    assert Runner(store).run_one()
    assert everything(store) == before


def test_20_who_delete_and_restore_at_once(client: Any, store: Store, ada: str) -> None:
    user = ObjectId(ada)

    def one(number: int) -> str:
        try:
            if number % 2:
                store.deleted_users.restore(user)
            else:
                store.deleted_users.soft_delete(user, None)
        except Problem as problem:
            return problem.code
        return "done"

    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(pool.map(one, range(20)))
    assert outcomes.keys() <= {"done", "AccountNotFound"}
    if not store.users.exists(user):
        store.deleted_users.restore(user)
    assert client.get(f"/users/{ada}").json["address"] == "ada@example.com"
    assert everything(store) == {"addresses": 1, "mailboxes": 5, "users": 1}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("DELETE", "/users/{unknown}", 404, "UserNotFound"),
        ("GET", "/users/{unknown}/restore", 404, "AccountNotFound"),
        ("POST", "/users/{unknown}/restore", 404, "AccountNotFound"),
        ("GET", "/users/{ada}/restore", 404, "AccountNotFound"),
        ("POST", "/users/{ada}/restore", 404, "AccountNotFound"),
        ("DELETE", "/users/123", 400, "InputValidationError"),
        ("DELETE", "/users/{ada}?deleteAfter=soon", 400, "InputValidationError"),
        ("DELETE", "/users/{ada}?deleteAfter=8640000000000000", 400, "InputValidationError"),
        ("DELETE", "/users/{ada}?foo=1", 400, "InputValidationError"),
        ("POST", "/users/xyz/restore", 400, "InputValidationError"),
    ],
)
def test_refused(client: Any, ada: str, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path.format(ada=ada, unknown=ObjectId()))
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert client.get(f"/users/{ada}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "roles"),
    [
        ("DELETE", "/users/{ada}", {"manager"}),
        ("GET", "/users/{ada}/restore", {"manager", "webmail", "user", "audit"}),
        ("POST", "/users/{ada}/restore", {"manager", "webmail", "user"}),
        ("POST", "/users/{ada}/quota/reset", {"manager", "webmail", "user"}),
        ("POST", "/quota/reset", {"manager", "webmail"}),
        ("PUT", "/users/{ada}/logout", {"manager", "webmail", "user"}),
        ("POST", "/users/{ada}/password/reset", {"manager", "webmail"}),
    ],
)
def test_who_may(
    store: Store, contract: Contract, client: Any, ada: str, method: str, path: str, roles: set[str]
) -> None:
    settings = Settings(access_control=True, validate_responses=True, log_level="error")
    app = create_app(settings, store, contract)
    path = path.format(ada=ada)
    assert Client(app).request(method, path).json["code"] == "InvalidToken"
    own = log_in(client)
    for role in ("auth", "audit", "user", "webmail", "manager"):
        text = own if role == "user" else store.tokens.provision("someone", role, secret=settings.secret)
        answer = Client(app, text).request(method, path)
        refused = answer.status_code == 403 and answer.json["code"] == "MissingPrivileges"
        assert refused is (role not in roles), (role, answer.json)
