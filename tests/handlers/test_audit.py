"""Audits over the API: started, read, exported, and who may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from jobs.runner import Runner
from storage.store import Store
from tests.conftest import Client
from tests.mail.mboxrd import count_of_python, read
from tests.rows import Row

LATER = "2099-01-01T00:00:00.000Z"
AN_ID = "5d48a1f5fd1a4d1be0d4a1c1"


@pytest.fixture
def start(client: Client, ada: str) -> Callable[..., str]:
    """`start(notes="x")`: the path of a new audit of Ada's mail."""

    def make(**fields: Any) -> str:
        answer = client.post("/audit", json={"user": ada, "expires": LATER, **fields})
        assert answer.status_code == 200, answer.json
        assert answer.json == {"success": True, "id": answer.json["id"]}
        return f"/audit/{answer.json['id']}"

    return make


def on_disk(store: Store, path: str) -> Row:
    return store.audits.get(ObjectId(path.removeprefix("/audit/")))


def run_jobs(store: Store) -> None:
    while Runner(store).run_one():
        pass


def test_what_a_new_audit_is_on_disk(store: Store, start: Callable[..., str], ada: str) -> None:
    path = start(start="2024-01-01", end=False, notes=" Case 12 ", meta='{"court": "Tartu"}')
    row = on_disk(store, path)
    own = row.pop("mallard")
    assert row == {
        "_id": row["_id"], "user": ObjectId(ada), "start": datetime(2024, 1, 1, tzinfo=UTC), "end": False,
        "expires": datetime(2099, 1, 1, tzinfo=UTC), "deleted": False, "notes": "Case 12",
        "meta": {"court": "Tartu"}, "import": {"status": "queued", "failed": 0, "copied": 0}, "audited": 0,
        "lastAuditedMessage": None,
    }  # fmt: skip
    assert [(entry["action"], entry["by"], entry["role"]) for entry in own["history"]] == [
        ("create", "root", "root")
    ]
    task = store.databases.main["tasks"].find_one({})
    assert task
    assert (task["task"], task["locked"], task["status"]) == ("audit", False, "waiting")
    assert task["data"] == {"audit": row["_id"], **{name: row[name] for name in ("user", "start", "end")}}


def test_read_from_the_beginning_to_the_end(
    client: Client, store: Store, start: Callable[..., str], put: Callable[..., int], ada: str
) -> None:
    put("One")
    path = start(meta={"a": [1, {"b": None}]})
    new = {
        "success": True, "id": path[-24:], "user": ada, "start": None, "end": None, "expires": LATER, "notes": None,
        "meta": {"a": [1, {"b": None}]}, "deleted": False, "audited": 0,
        "import": {"status": "queued", "failed": 0, "copied": 0},
    }  # fmt: skip
    assert client.get(path).json == new
    run_jobs(store)
    put("Two")
    seen = client.get(path).json
    last = datetime.fromisoformat(seen.pop("lastAuditedMessage"))
    assert abs(datetime.now(UTC) - last) < timedelta(minutes=1)
    assert seen == {**new, "audited": 2, "import": {"status": "imported", "failed": 0, "copied": 1}}


def test_the_export_in_full(
    client: Client, store: Store, start: Callable[..., str], box: Callable[[str], str], ada: str
) -> None:
    raw = b"From: <g@example.com>\r\nSubject: x\r\nStatus: RO\r\n\r\nFrom here\r\n>From there"
    client.post(
        f"{box('INBOX')}/messages",
        data=raw,
        headers={"Content-Type": "message/rfc822"},
        query_string={"date": "2024-01-05T03:04:05Z", "draft": True},
    )
    path = start()
    run_jobs(store)
    answer = client.get(f"{path}/export.mbox")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/mbox"
    assert answer.headers["Content-Disposition"] == "attachment; filename=export.mbox"
    assert answer.data == (
        b"From MAILER-DAEMON Fri Jan  5 03:04:05 2024\nX-Export-Mailbox: INBOX\nX-Export-Draft: Yes\n"
        b"From: <g@example.com>\nSubject: x\n\n>From here\n>>From there\n\n"
    )
    history = on_disk(store, path)["mallard"]["history"]
    assert [(entry["action"], entry["by"]) for entry in history] == [("create", "root"), ("export", "root")]


def test_an_export_of_nothing_is_an_empty_file(client: Client, start: Callable[..., str]) -> None:
    answer = client.get(f"{start()}/export.mbox")
    assert (answer.status_code, answer.data) == (200, b"")


def test_both_readers_agree_on_mail_that_looks_like_mbox(
    client: Client, store: Store, start: Callable[..., str], put: Callable[..., int], tmp_path: Path
) -> None:
    for number in range(7):
        put(
            f"No {number}",
            text="\r\n\r\nFrom a@b Fri Jan  5 03:04:05 2024\r\nSubject: forged\r\n\r\nx\r\n" * number,
        )
    path = start()
    run_jobs(store)
    put("No 7", sender="From <g@example.com>")
    data = client.get(f"{path}/export.mbox").data
    (tmp_path / "export.mbox").write_bytes(data)
    assert count_of_python(tmp_path / "export.mbox") == len(list(read(data))) == 8
    assert client.get(path).json["audited"] == 8


def test_messages_come_by_date_and_ties_are_kept(
    client: Client,
    store: Store,
    start: Callable[..., str],
    put: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storage.audits.files._PAGE", 3)
    for number, day in enumerate([3, 1, 2, 2, 2, 2, 2, 1]):
        put(f"{number}", date=f"2024-01-0{day}T00:00:00Z")
    path = start()
    run_jobs(store)
    entries = [text for _, text in read(client.get(f"{path}/export.mbox").data)]
    subjects = [int(text.split(b"Subject: ")[1][:1]) for text in entries]
    assert sorted(subjects) == list(range(8))
    assert (set(subjects[:2]), set(subjects[2:7]), subjects[7]) == ({1, 7}, {2, 3, 4, 5, 6}, 0)


def test_a_copy_that_is_not_whole_is_left_out(
    client: Client, store: Store, start: Callable[..., str], put: Callable[..., int]
) -> None:
    put("One"), put("Two")
    path = start()
    run_jobs(store)
    store.databases.gridfs["audit.chunks"].delete_one({})
    assert len(list(read(client.get(f"{path}/export.mbox").data))) == 1


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"user", "expires"}),
        ({"user": "x", "expires": "soon", "start": "x", "end": True, "notes": "x" * 1025, "meta": "[]", "more": 1},
         {"user", "expires", "start", "end", "notes", "meta", "more"}),
        ({"user": AN_ID, "expires": LATER, "start": "never"}, {"start"}),
        ({"user": AN_ID, "expires": "2020-01-01"}, {"expires"}),
        ({"user": AN_ID, "expires": False}, {"expires"}),
        ({"user": AN_ID, "expires": ""}, {"expires"}),
        ({"user": AN_ID, "expires": LATER, "meta": {"$ref": "users", "$id": 1}}, {"meta"}),
        ({"user": AN_ID, "expires": LATER, "meta": {"a": [{"b\0": 1}]}}, {"meta"}),
        ({"user": AN_ID, "expires": LATER, "meta": {"a": 1 << 63}}, {"meta"}),
    ],
)  # fmt: skip
def test_bad_input_names_the_fields(
    client: Client, store: Store, body: dict[str, Any], fields: set[str]
) -> None:
    answer = client.post("/audit", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError")
    assert set(answer.json["details"]) == fields
    assert store.audits.all() == []


def test_an_account_that_never_was(client: Client, store: Store) -> None:
    answer = client.post("/audit", json={"user": AN_ID, "expires": LATER})
    assert (answer.status_code, answer.json["code"]) == (404, "UserNotFound")
    assert store.tasks.all() == []


def test_a_deleted_account_is_audited(
    client: Client, store: Store, start: Callable[..., str], put: Callable[..., int], ada: str
) -> None:
    put("One")
    assert client.delete(f"/users/{ada}").status_code == 200
    run_jobs(store)
    path = start()
    run_jobs(store)
    assert client.get(path).json["import"] == {"status": "imported", "failed": 0, "copied": 1}
    assert b"X-Export-Mailbox" not in client.get(f"{path}/export.mbox").data


@pytest.mark.parametrize("path", [f"/audit/{AN_ID}", f"/audit/{AN_ID}/export.mbox"])
def test_an_audit_that_is_not_there(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json == {
        "error": "Audit not found",
        "message": "Audit not found",
        "code": "AuditNotFoundError",
    }


@pytest.mark.parametrize("path", ["/audit/x", "/audit/x/export.mbox"])
def test_an_id_that_is_none(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    assert set(answer.json["details"]) == {"audit"}


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("root", "CR"),
        ("audit", "CR"),
        ("auditclient", "R"),
        ("manager", ""),
        ("webmail", ""),
        ("user", ""),
        (None, ""),
    ],
)
def test_who_may(
    as_caller: Callable[..., Client], start: Callable[..., str], ada: str, role: str | None, may: str
) -> None:
    path, caller = start(), as_caller(role, ada) if role == "user" else as_caller(role)
    created = caller.post("/audit", json={"user": ada, "expires": LATER})
    answers = {"C": [created], "R": [caller.get(path), caller.get(f"{path}/export.mbox")]}
    refused = "MissingPrivileges" if role else "InvalidToken"
    for letter, some in answers.items():
        for answer in some:
            assert answer.status_code == (200 if letter in may else 403)
            assert letter in may or answer.json["code"] == refused


def test_what_was_done_is_noted_with_who_and_where(
    as_caller: Callable[..., Client], store: Store, start: Callable[..., str]
) -> None:
    path = start()
    as_caller("auditclient", user="lawyer").get(f"{path}/export.mbox?sess=s1&ip=192.0.2.1")
    entry = on_disk(store, path)["mallard"]["history"][1]
    entry.pop("time")
    assert entry == {
        "action": "export",
        "by": "lawyer",
        "role": "auditclient",
        "sess": "s1",
        "ip": "192.0.2.1",
    }
