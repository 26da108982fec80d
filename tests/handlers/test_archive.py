"""Deleted messages, listed and brought back; and a mailbox emptied."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from jobs.runner import Runner
from storage.store import Store
from tests.conftest import Client
from tests.storage.plans import examined, indexes, plans

RAW = {"Content-Type": "message/rfc822"}
WITH_FILE = (
    b"From: Grace <grace@example.com>\r\nTo: ada@example.com\r\nSubject: Files\r\nContent-Type: application/pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nJVBERi0=\r\n"
)


@pytest.fixture
def archived(client: Any, ada: str, box: Callable[[str], str]) -> Callable[..., str]:
    """`archived("Plan")`: the id in the archive of a message that was stored and deleted."""

    def make(subject: str = "Plan", mailbox: str = "INBOX", raw: bytes | None = None, **query: Any) -> str:
        raw = raw or f"From: Grace <grace@example.com>\r\nSubject: {subject}\r\n\r\nDear Ada".encode()
        place = f"{box(mailbox)}/messages"
        uid = client.post(place, data=raw, headers=RAW, query_string=query).json["message"]["id"]
        assert client.delete(f"{place}/{uid}").json == {"success": True}
        return str(client.get(f"/users/{ada}/archived/messages?limit=1").json["results"][0]["id"])

    return make


def used(store: Store, user: str) -> int:
    return int(store.users.get(ObjectId(user))["storageUsed"])


def test_the_archive_is_listed(client: Any, store: Store, ada: str, archived: Callable[..., str]) -> None:
    first, second = archived("First"), archived("Second", unseen=True)
    page = client.get(
        f"/users/{ada}/archived/messages", query_string={"threadCounters": True, "limit": 1}
    ).json
    (row,) = page["results"]
    assert (page["total"], row["id"], row["subject"], row["seen"]) == (2, second, "Second", False)
    assert row["threadMessageCount"] == 1
    stored = store.databases.main["archived"].find_one({"_id": ObjectId(second)})
    assert stored
    assert row["archived"] == stored["archived"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
    more = client.get(f"/users/{ada}/archived/messages", query_string={"next": page["nextCursor"]}).json
    assert [row["id"] for row in more["results"]] == [first]
    oldest = client.get(f"/users/{ada}/archived/messages", query_string={"order": "asc"}).json["results"]
    assert [row["id"] for row in oldest] == [first, second]


def test_a_page_reads_what_it_shows(
    client: Any, store: Store, ada: str, archived: Callable[..., str]
) -> None:
    for number in range(5):
        archived(str(number))
    found = plans(store, lambda: client.get(f"/users/{ada}/archived/messages?limit=2"))
    page = next(plan for plan in found if examined(plan))
    assert indexes(page) <= {"user_messages", "user_messages_desc"}
    assert examined(page) == 3


def test_a_message_comes_back_where_it_was(
    client: Any, store: Store, ada: str, box: Callable[[str], str], archived: Callable[..., str]
) -> None:
    before = used(store, ada)
    copy = archived(raw=WITH_FILE, flagged=True)
    answer = client.post(f"/users/{ada}/archived/messages/{copy}/restore", json={})
    assert answer.json == {"success": True, "mailbox": box("INBOX").rpartition("/")[2], "id": 2}
    shown = client.get(f"{box('INBOX')}/messages/2").json
    assert (shown["subject"], shown["flagged"], shown["deleted"]) == ("Files", True, False)
    assert client.get(f"{box('INBOX')}/messages/2/attachments/ATT00001").data == b"%PDF-"
    assert client.get(f"{box('INBOX')}/messages/2/message.eml").data == WITH_FILE
    row = store.databases.main["messages"].find_one({"_id": ObjectId(copy)})
    assert row
    assert (row["searchable"], row["undeleted"], "archived" in row, row["exp"]) == (True, True, False, False)
    assert used(store, ada) == before + row["size"]
    assert store.databases.main["archived"].count_documents({}) == 0
    (file,) = store.databases.gridfs["attachments.files"].find()
    assert file["metadata"]["c"] == 1
    last = next(store.databases.main["journal"].find().sort("_id", -1).limit(1))
    assert (last["command"], last["uid"], last["message"]) == ("EXISTS", 2, ObjectId(copy))


@pytest.mark.parametrize(("wanted", "found"), [("Trash", "Trash"), ("gone", "INBOX")])
def test_into_another_mailbox(
    client: Any, ada: str, box: Callable[[str], str], archived: Callable[..., str], wanted: str, found: str
) -> None:
    mailbox = str(ObjectId()) if wanted == "gone" else box(wanted).rpartition("/")[2]
    answer = client.post(f"/users/{ada}/archived/messages/{archived()}/restore", json={"mailbox": mailbox})
    assert answer.json["mailbox"] == box(found).rpartition("/")[2]


def test_never_into_the_mailbox_of_another(
    client: Any,
    ada: str,
    box: Callable[[str], str],
    archived: Callable[..., str],
    make_user: Callable[..., Any],
) -> None:
    bob = make_user("bob")
    foreign = client.get(f"/users/{bob}/mailboxes/resolve?path=INBOX").json["id"]
    copy = archived()
    assert (
        client.post(f"/users/{bob}/archived/messages/{copy}/restore", json={}).json["code"]
        == "MessageNotFound"
    )
    answer = client.post(f"/users/{ada}/archived/messages/{copy}/restore", json={"mailbox": foreign})
    assert answer.json["mailbox"] == box("INBOX").rpartition("/")[2]


def test_of_many_at_once_one_restores(app: Any, ada: str, store: Store, archived: Callable[..., str]) -> None:
    path = f"/users/{ada}/archived/messages/{archived()}/restore"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: app.test_client().post(path, json={}).status_code, range(8)))
    assert sorted(answers) == [200] + [404] * 7
    (row,) = store.databases.main["messages"].find()
    assert used(store, ada) == row["size"]


def test_what_is_there_is_not_restored(client: Any, store: Store, ada: str, put: Callable[..., int]) -> None:
    """A WildDuck that ended while it deleted or restored a message leaves both."""
    put()
    database = store.databases.main
    message = database["messages"].find_one({})
    assert message
    database["archived"].insert_one({**message, "archived": message["idate"], "exp": True, "rdate": 1e15})
    answer = client.post(f"/users/{ada}/archived/messages/{message['_id']}/restore", json={})
    assert (answer.status_code, answer.json["code"]) == (404, "MessageNotFound")
    assert database["archived"].count_documents({}) == 0
    assert database["messages"].find_one({}) == message
    assert used(store, ada) == message["size"]


def test_a_full_account_gets_nothing_back(
    client: Any, store: Store, ada: str, archived: Callable[..., str]
) -> None:
    copy = archived()
    client.put(f"/users/{ada}", json={"quota": 1})
    answer = client.post(f"/users/{ada}/archived/messages/{copy}/restore", json={})
    assert (answer.status_code, answer.json["code"]) == (400, "OverQuotaError")
    assert store.databases.main["archived"].count_documents({}) == 1
    assert store.databases.main["messages"].count_documents({}) == 0


def test_a_job_restores_a_span_of_time(
    client: Any, store: Store, ada: str, box: Callable[[str], str], archived: Callable[..., str]
) -> None:
    copies = {archived(str(number)) for number in range(3)}
    old = ObjectId(archived("Old"))
    earlier = store.clock() - timedelta(days=3)
    store.databases.main["archived"].update_one({"_id": old}, {"$set": {"archived": earlier}})
    span = {"start": (store.clock() - timedelta(hours=1)).isoformat(), "end": store.clock().isoformat()}
    answer = client.post(f"/users/{ada}/archived/restore", json=span)
    assert set(answer.json) == {"success", "task"}
    assert Runner(store).run_one()
    place = box(f"Restored ({store.clock():%Y-%m-%d})")
    assert {row["subject"] for row in client.get(f"{place}/messages").json["results"]} == {"0", "1", "2"}
    assert client.get(f"/users/{ada}/archived/messages").json["total"] == 1
    assert {str(row["_id"]) for row in store.databases.main["messages"].find()} == copies
    assert store.databases.main["tasks"].count_documents({}) == 0


def test_what_a_job_cannot_restore_stays(
    client: Any, store: Store, ada: str, archived: Callable[..., str]
) -> None:
    archived("One"), archived("Two")
    size = next(store.databases.main["archived"].find())["size"]
    client.put(f"/users/{ada}", json={"quota": size + 1})
    client.post(f"/users/{ada}/archived/restore", json={"start": "2020-01-01", "end": "2090-01-01"})
    assert Runner(store).run_one()
    assert store.databases.main["messages"].count_documents({}) == 1
    assert store.databases.main["archived"].count_documents({}) == 1
    assert store.databases.main["tasks"].count_documents({}) == 0


def test_a_mailbox_is_emptied(
    client: Any, store: Store, ada: str, put: Callable[..., int], box: Callable[[str], str]
) -> None:
    put("One"), put("Two"), put("Draft", draft=True)
    answer = client.delete(f"{box('INBOX')}/messages")
    assert answer.json == {"success": True, "deleted": 3, "errors": 0}
    assert client.get(f"/users/{ada}/archived/messages").json["total"] == 2
    put("Three")
    assert client.delete(f"{box('INBOX')}/messages?skipArchive=true").json["deleted"] == 1
    assert client.get(f"/users/{ada}/archived/messages").json["total"] == 2
    assert (client.get(box("INBOX")).json["total"], used(store, ada)) == (0, 0)


def test_a_mailbox_is_emptied_by_one_job(
    client: Any, store: Store, put: Callable[..., int], box: Callable[[str], str]
) -> None:
    put("One")
    path = f"{box('INBOX')}/messages?async=yes&skipArchive=yes"
    first, second = client.delete(path).json, client.delete(path).json
    assert (first["existing"], second["existing"], first["deleted"]) == (False, True, 0)
    assert first["scheduled"] == second["scheduled"]
    assert Runner(store).run_one()
    assert client.get(box("INBOX")).json["total"] == 0
    assert store.databases.main["archived"].count_documents({}) == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "fault"),
    [
        ("GET", "archived/messages?limit=0", None, 400, {"limit"}),
        ("GET", "archived/messages?next=abc", None, 400, {"next"}),
        ("POST", "archived/messages/12/restore", {}, 400, {"message"}),
        ("POST", f"archived/messages/{'1' * 24}/restore", {}, 404, "MessageNotFound"),
        ("POST", f"archived/messages/{'1' * 24}/restore", {"mailbox": "x", "y": 1}, 400, {"mailbox", "y"}),
        ("POST", "archived/restore", {}, 400, {"start", "end"}),
        ("POST", "archived/restore", {"start": "soon", "end": False}, 400, {"start", "end"}),
        ("DELETE", f"mailboxes/{'1' * 24}/messages", None, 404, "NoSuchMailbox"),
        ("DELETE", f"mailboxes/{'1' * 24}/messages?async=1", None, 404, "NoSuchMailbox"),
        ("DELETE", "mailboxes/x/messages?async=maybe", None, 400, {"mailbox", "async"}),
    ],
)
def test_what_is_refused(
    client: Any, store: Store, ada: str, method: str, path: str, body: Any, status: int, fault: Any
) -> None:
    options = {"json": body} if body is not None else {}
    answer = client.request(method, f"/users/{ada}/{path}", **options)
    assert answer.status_code == status, answer.json
    assert (set(answer.json["details"]) if status == 400 else answer.json["code"]) == fault
    assert store.databases.main["tasks"].count_documents({}) == 0


def test_unknown_accounts_and_foreign_roles(app: Any, store: Store, ada: str) -> None:
    span = {"start": "2026-01-01", "end": "2026-02-01"}
    stranger = Client(app).post(f"/users/{ObjectId()}/archived/restore", json=span)
    assert (stranger.status_code, stranger.json["code"]) == (404, "UserNotFound")
    manager = Client(app, store.tokens.provision("panel", "manager", secret="a secret cat"))
    for method, path, options in (
        ("GET", "messages", {}),
        ("POST", "restore", {"json": span}),
        ("POST", f"messages/{'1' * 24}/restore", {"json": {}}),
    ):
        refused = manager.request(method, f"/users/{ada}/archived/{path}", **options)
        assert (refused.status_code, refused.json["code"]) == (403, "MissingPrivileges")
    forged = Client(app, "0" * 40).get(f"/users/{ada}/archived/messages")
    assert (forged.status_code, forged.json["code"]) == (403, "InvalidToken")
