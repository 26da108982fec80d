"""Settings steer what they are for: each is set through the API and shows in the operation that uses it.

The app and the test share one process, where a change is in force at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store

DAY_MS = 86_400_000
Put = Callable[..., int]


@pytest.fixture
def setting(client: Any) -> Callable[[str, Any], None]:
    """`setting("const:max:mailboxes", 6)`; without a value, back to the default."""

    def change(key: str, value: Any = None) -> None:
        path = f"/settings/{key}"
        answer = client.delete(path) if value is None else client.post(path, json={"value": value})
        assert answer.status_code == 200, answer.json

    return change


def code(answer: Any) -> str:
    return str(answer.json.get("code", "done"))


def submit(client: Any, user: str, recipients: int) -> Any:
    to = [{"address": f"x{number}@example.net"} for number in range(recipients)]
    return client.post(f"/users/{user}/submit", json={"to": to, "subject": "Hello", "text": "Dear all"})


def test_mailboxes(client: Any, ada: str, setting: Callable[..., None]) -> None:
    def create(path: str) -> Any:
        return client.post(f"/users/{ada}/mailboxes", json={"path": path})

    setting("const:max:mailboxes", 5)
    # An account starts with five; like WildDuck, the limit lets one more pass.
    assert [code(create(path)) for path in ("A", "B")] == ["done", "DisallowedMailboxMethod"]
    setting("const:max:mailboxes")
    assert code(create("B")) == "done"


@pytest.mark.parametrize("days", [3, 0])
def test_archive_time(
    client: Any, store: Store, put: Put, box: Callable[[str], str], setting: Callable[..., None], days: int
) -> None:
    def kept_for() -> timedelta:
        assert client.delete(f"{box('INBOX')}/messages/{put()}").status_code == 200
        archived = store.databases.main["archived"]
        (row,) = archived.find({}).sort("archived", -1).limit(1)
        return timedelta(milliseconds=row["rdate"] - int(row["archived"].timestamp() * 1000))

    setting("const:archive:time", days * DAY_MS)
    assert kept_for() == timedelta(days=days)
    setting("const:archive:time")
    assert kept_for() == timedelta(days=25)


def test_storage(
    client: Any,
    ada: str,
    make_user: Callable[..., Any],
    box: Callable[[str], str],
    setting: Callable[..., None],
) -> None:
    def upload(user: str, path: str) -> Any:
        return client.post(
            f"{path}/messages", data=b"Subject: x\r\n\r\ny", headers={"Content-Type": "message/rfc822"}
        )

    bob = str(make_user("bob", quota=10_000))
    inbox = client.get(f"/users/{bob}/mailboxes/resolve", query_string={"path": "INBOX"}).json["id"]
    setting("const:max:storage", 10)
    assert code(upload(ada, box("INBOX"))) == "OverQuotaError"
    assert client.get(f"/users/{ada}").json["limits"]["quota"] == {"allowed": 10, "used": 0}
    assert code(upload(bob, f"/users/{bob}/mailboxes/{inbox}")) == "done", "a quota of one's own wins"
    setting("const:max:storage", 0)
    assert client.get(f"/users/{ada}").json["limits"]["quota"]["allowed"] == 0
    setting("const:max:storage")
    assert code(upload(ada, box("INBOX"))) == "done"


def test_recipients_of_a_day(
    client: Any, ada: str, make_user: Callable[..., Any], setting: Callable[..., None]
) -> None:
    bob = str(make_user("bob", recipients=50))
    setting("const:max:recipients", 3)
    assert [code(submit(client, ada, 2)), code(submit(client, ada, 2))] == ["done", "RateLimitedError"]
    assert client.get(f"/users/{ada}").json["limits"]["recipients"]["allowed"] == 3
    assert code(submit(client, bob, 4)) == "done", "a limit of one's own wins"
    setting("const:max:recipients")
    assert code(submit(client, ada, 2)) == "done"


def test_recipients_of_one_message(client: Any, ada: str, setting: Callable[..., None]) -> None:
    setting("const:max:rcpt_to", 2)
    refused = submit(client, ada, 3)
    assert (refused.status_code, refused.json["code"], refused.json["allowed"]) == (403, "TooMany", 2)
    assert code(submit(client, ada, 2)) == "done"
    setting("const:max:rcpt_to")
    assert code(submit(client, ada, 3)) == "done"


def test_time_of_the_log(
    client: Any, store: Store, make_user: Callable[..., ObjectId], setting: Callable[..., None]
) -> None:
    def logged(user: ObjectId) -> list[timedelta]:
        entries = store.databases.users["authlog"].find({"user": user})
        return [entry["expires"] - entry["created"] for entry in entries]

    def create(name: str) -> ObjectId:
        answer = client.post("/users", json={"username": name, "password": "correct horse"})
        return ObjectId(answer.json["id"])

    setting("const:authlog:time", 2 * DAY_MS)
    assert logged(create("ada")) == [timedelta(days=2)]
    setting("const:authlog:time", 0)
    assert logged(create("bob")) == []
    setting("const:authlog:time")
    assert logged(create("eve")) == [timedelta(days=30)]
