"""updateMessage in both forms of the path, deleteMessage."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store
from tests.conftest import Client
from tests.handlers.conftest import RAW
from tests.rows import Row

Box = Callable[[str], str]
Put = Callable[..., int]


def failure(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def rows(store: Store, **wanted: Any) -> list[Row]:
    return list(store.databases.main["messages"].find(wanted).sort("uid", 1))


def journal(store: Store, command: str) -> list[Row]:
    return list(store.databases.main["journal"].find({"command": command}).sort("_id", 1))


@pytest.mark.parametrize(
    ("message", "updated"),
    [
        ("2", [2]),
        ("1,3,3", [1, 3]),
        ("3:2", [2, 3]),
        ("2:*", [2, 3, 4]),
        ("1,3:*", [1, 3, 4]),
        (2, [2]),
        ("4,99", [4]),
    ],
)
@pytest.mark.parametrize("in_path", [False, True])
def test_sets_of_messages(
    client: Any, store: Store, box: Box, put: Put, message: Any, updated: list[int], in_path: bool
) -> None:
    for _ in range(4):
        put()
    path, body = f"{box('INBOX')}/messages", {"flagged": True}
    answer = (
        client.put(f"{path}/{message}", json=body)
        if in_path
        else client.put(path, json={"message": message, **body})
    )
    assert answer.json == {"success": True, "updated": len(updated)}
    assert [row["uid"] for row in rows(store, flagged=True)] == updated
    assert [entry["uid"] for entry in journal(store, "FETCH")] == updated
    assert len({row["modseq"] for row in rows(store, flagged=True)}) == 1


def test_what_an_update_writes(client: Any, store: Store, box: Box, put: Put) -> None:
    path = f"{box('INBOX')}/messages/{put(metaData='{}')}"
    before = rows(store)[0]
    change = {"seen": False, "flagged": 1, "draft": "no", "deleted": "yes", "expires": "2030-01-01T00:00:00Z"}
    assert client.put(path, json={**change, "metaData": {"$set": {"a.b": 1}}}).json["updated"] == 1
    after = rows(store)[0]
    changed = {name: after.get(name) for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed == {
        "flags": ["\\Deleted", "\\Flagged"], "unseen": True, "flagged": True, "undeleted": False, "searchable": None,
        "exp": True, "rdate": 1_893_456_000_000, "retention": None, "modseq": before["modseq"] + 1,
        "meta": {**before["meta"], "custom": '{"$set":{"a.b":1}}'},
    }  # fmt: skip
    shown = client.get(path).json
    assert (shown["expires"], shown["metaData"]) == ("2030-01-01T00:00:00.000Z", {"$set": {"a.b": 1}})
    assert client.put(path, json={"expires": False}).status_code == 200
    assert "expires" not in client.get(path).json


def test_moved_with_new_uids_and_flags(client: Any, store: Store, box: Box, put: Put) -> None:
    for _ in range(3):
        put(unseen=True)
    put(mailbox="Trash")
    trash = box("Trash")[-24:]
    answer = client.put(f"{box('INBOX')}/messages", json={"message": "2:*", "moveTo": trash, "seen": True})
    assert answer.json == {"success": True, "mailbox": trash, "id": [[2, 2], [3, 3]], "updated": 2}
    moved = rows(store, mailbox=ObjectId(trash), uid={"$gt": 1})
    assert [(row["unseen"], row["exp"], row["rdate"] > row["retentionTime"]) for row in moved] == [
        (False, True, True)
    ] * 2
    assert [entry["uid"] for entry in journal(store, "EXPUNGE")] == [2, 3]
    assert (client.get(box("INBOX")).json["total"], client.get(box("Trash")).json["total"]) == (1, 3)
    client.put(f"{box('Trash')}/messages/2:3", json={"moveTo": box("INBOX")[-24:]})
    assert not any(row["exp"] for row in rows(store, mailbox=ObjectId(box("INBOX")[-24:])))


def test_no_spam(client: Any, store: Store, box: Box, put: Put) -> None:
    put(mailbox="Junk")
    path = f"{box('Junk')}/messages/1"
    before = rows(store)
    assert client.put(path, json={"markHam": True}).json == {"success": True, "updated": 1}
    assert rows(store) == before
    assert not journal(store, "FETCH")
    assert failure(client.put(f"{box('Junk')}/messages/9", json={"markHam": True})) == (
        404,
        "MessageNotFound",
    )
    client.put(path, json={"markHam": True, "moveTo": box("INBOX")[-24:]})
    arrived = journal(store, "EXISTS")[-1]
    assert (arrived["junk"], arrived["markHam"]) == (-1, True)
    assert "junk" not in rows(store)[0]


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({"message": "1:2:3", "seen": True}, {"message"}),
        ({"message": "*", "seen": True}, {"message"}),
        ({"message": "", "seen": True}, {"message"}),
        ({"message": {"$gt": 0}, "seen": True}, {"message"}),
        ({"message": [1], "seen": True}, {"message"}),
        ({"message": -1, "seen": True}, {"message"}),
        ({"message": 1.5, "seen": True}, {"message"}),
        ({"seen": True}, {"message"}),
        (
            {"message": "1", "seen": None, "flagged": "perhaps", "moveTo": "INBOX"},
            {"seen", "flagged", "moveTo"},
        ),
        ({"message": "1", "moveTo": {"$ne": None}, "foo": 1}, {"moveTo", "foo"}),
        ({"message": "1", "expires": True}, {"expires"}),
        ({"message": "1", "expires": "soon"}, {"expires"}),
        ({"message": "1", "expires": 8_640_000_000_000_000}, {"expires"}),
        ({"message": "1", "expires": "99999999999999999999"}, {"expires"}),
        ({"message": "1", "metaData": []}, {"metaData"}),
        ({"message": "1", "metaData": ""}, {"metaData"}),
        ({"message": "1", "metaData": "[1]"}, {"metaData"}),
        ({"message": "1", "metaData": {"a": "x" * 1_048_576}}, {"metaData"}),
        ({"message": "1", "metaData": '{"a":' * 200 + "1" + "}" * 200}, {"metaData"}),
        ({"message": "1", "answered": True}, {"answered"}),
    ],
)
def test_bad_input_names_the_fields(
    client: Any, store: Store, box: Box, put: Put, body: dict[str, Any], at_fault: set[str]
) -> None:
    put()
    before = rows(store)
    answer = client.put(f"{box('INBOX')}/messages", json=body)
    assert failure(answer) == (400, "InputValidationError"), answer.json
    assert set(answer.json["details"]) == at_fault
    assert rows(store) == before


def test_what_cannot_be_changed(
    client: Any, ada: str, box: Box, put: Put, make_user: Callable[..., Any]
) -> None:
    put()
    inbox, other = box("INBOX"), str(ObjectId())
    foreign = f"/users/{make_user('bob')}/mailboxes/{inbox[-24:]}"
    assert failure(client.put(f"{inbox}/messages", json={"message": "1"})) == (400, "NoUpdates")
    for path in (f"/users/{ada}/mailboxes/{other}", foreign):
        for body in ({"seen": True}, {"moveTo": inbox[-24:]}, {"markHam": True}):
            assert failure(client.put(f"{path}/messages/1", json=body)) == (404, "NoSuchMailbox")
    assert failure(client.put(f"{inbox}/messages/1", json={"moveTo": other})) == (404, "NoSuchMailbox")
    for body in ({"seen": True}, {"moveTo": box("Trash")[-24:]}):
        assert failure(client.put(f"{inbox}/messages/7:9", json=body)) == (404, "MessageNotFound")


def test_deleted_into_the_archive_and_drafts_for_good(
    client: Any, store: Store, ada: str, box: Box, put: Put
) -> None:
    put(unseen=True)
    put(draft=True)
    before = rows(store)
    for uid in (1, 2):
        assert client.delete(f"{box('INBOX')}/messages/{uid}").json == {"success": True}
        assert failure(client.delete(f"{box('INBOX')}/messages/{uid}")) == (404, "MessageNotFound")
    assert [row["_id"] for row in store.databases.main["archived"].find()] == [before[0]["_id"]]
    assert [(e["uid"], e["unseen"]) for e in journal(store, "EXPUNGE")] == [(1, True), (2, False)]
    assert store.users.get(ObjectId(ada))["storageUsed"] == 0
    shown = client.get(box("INBOX")).json
    assert (shown["total"], shown["unseen"], shown["modifyIndex"]) == (0, 0, 5)


def test_who_may(as_caller: Callable[..., Any], client: Any, ada: str, box: Box, put: Put) -> None:
    put()
    path = f"{box('INBOX')}/messages"
    for method, rest, options in (("PUT", "", {"json": {"message": "1", "seen": True}}),
                                  ("PUT", "/1", {"json": {"seen": True}}), ("DELETE", "/1", {})):  # fmt: skip
        assert failure(as_caller(None).request(method, path + rest, **options)) == (403, "InvalidToken")
        for role in ("downloader", "attachments", "auth"):
            assert failure(as_caller(role).request(method, path + rest, **options)) == (
                403,
                "MissingPrivileges",
            )
        assert as_caller("user", ada).request(method, path + rest, **options).status_code == 200


def test_sixteen_writers_of_one_mailbox(app: Any, store: Store, box: Box) -> None:
    """They add, flag, move away and back, and delete at the same time: numbers only go up, counts stay right."""
    inbox, trash = box("INBOX"), box("Trash")

    def work(number: int) -> set[int]:
        client = Client(app)
        stored = client.post(
            f"{inbox}/messages?unseen=true", data=b"Subject: %d\r\n\r\nx" % number, headers=RAW
        )
        uid = stored.json["message"]["id"]
        steps = [stored, client.put(f"{inbox}/messages/{uid}", json={"seen": True})]
        if number % 2:
            moved = client.put(f"{inbox}/messages/{uid}", json={"moveTo": trash[-24:], "flagged": True})
            away = moved.json["id"][0][1]
            steps += [moved, client.put(f"{trash}/messages/{away}", json={"moveTo": inbox[-24:]})]
        elif number % 4:
            steps.append(client.delete(f"{inbox}/messages/{uid}"))
        return {answer.status_code for answer in steps}

    with ThreadPoolExecutor(16) as pool:
        assert set().union(*pool.map(work, range(32))) == {200}
    for path, there in ((inbox, 24), (trash, 0)):
        shown, here = Client(app).get(path).json, rows(store, mailbox=ObjectId(path[-24:]))
        assert (shown["total"], len(here), shown["unseen"]) == (there, there, 0)
        entries = list(
            store.databases.main["journal"].find({"mailbox": ObjectId(path[-24:])}).sort("modseq", 1)
        )
        uids = [entry["uid"] for entry in entries if entry["command"] == "EXISTS"]
        assert uids == sorted(set(uids))
        assert [entry["modseq"] for entry in entries] == list(range(2, len(entries) + 2))
        assert shown["modifyIndex"] == len(entries) + 1
