"""Messages that the original stored, one of each kind, through all that the API does with a message."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from jobs.sweep import Sweep
from server.contract.operations import Contract
from server.http.app import create_app
from server.settings.table import Settings
from storage.base.database import DatabaseNames
from storage.store import Store
from tests.conftest import Client
from tests.flows.imapview import ImapView
from tests.flows.originals import KINDS, PDF, Kind, raw, top
from tests.flows.wildduck import MAGIC, File, Original, Stored, leaf, lines
from tests.rows import Row

FLAGS = ("seen", "flagged", "draft", "answered", "deleted")


class Account:
    """An account with one message of the original's in INBOX."""

    def __init__(self, client: Client, store: Store, user: ObjectId, kind: Kind) -> None:
        self.client, self.store, self.user, self.kind = client, store, user, kind
        self.original = Original(store.databases.main, store.databases.gridfs)
        self.inbox = self.box("INBOX")
        self.document = self.original.add(user, self.inbox, kind.make())
        self.path = self.message(self.inbox, self.document["uid"])

    def box(self, path: str) -> ObjectId:
        return ObjectId(self.store.mailboxes.by_path(self.user, path)["_id"])

    def message(self, box: Any, uid: int) -> str:
        return f"{self.messages(box)}/{uid}"

    def messages(self, box: Any) -> str:
        return f"/users/{self.user}/mailboxes/{box}/messages"

    def get(self, path: str, **query: Any) -> Row:
        return self.ask("GET", path, query_string=query)

    def ask(self, method: str, path: str, **options: Any) -> Row:
        answer = self.client.request(method, path, **options)
        assert answer.status_code == 200, answer.json
        return dict(answer.json)

    def rows(self, collection: str) -> list[Row]:
        return list(self.store.databases.main[collection].find({"user": self.user}).sort("_id", 1))

    def files(self) -> dict[Any, tuple[int, int]]:
        """References to each file: how many, and the sum of their magic."""
        found = self.store.databases.gridfs["attachments.files"].find()
        return {file["_id"]: (file["metadata"]["c"], file["metadata"]["m"]) for file in found}

    def used(self) -> int:
        return int(self.store.users.get(self.user)["storageUsed"])


@pytest.fixture(scope="module")
def client(mongo: MongoClient[dict[str, Any]], databases: DatabaseNames, contract: Contract) -> Client:
    """One app for all of these tests: making one takes longer than any of them."""
    settings = Settings(validate_responses=True, log_level="error", mongo_uri="mongodb://unused")
    return Client(create_app(settings, Store(mongo, databases), contract))


@pytest.fixture(params=KINDS)
def theirs(
    request: pytest.FixtureRequest, client: Client, store: Store, make_user: Callable[..., ObjectId]
) -> Account:
    """An account with a message of each kind in turn."""
    return Account(client, store, make_user(), KINDS[request.param])


def check_shown(theirs: Account, path: str, **changed: bool) -> Row:
    """The message in full, with flags as they were but for `changed`."""
    kind, shown = theirs.kind, theirs.get(path)
    assert {name for name in FLAGS if shown[name]} == {
        name for name in FLAGS if changed.get(name, name in kind.flags)
    }
    assert shown["text"] == kind.text
    assert kind.html in "".join(shown.get("html", []))
    assert shown["subject"] == theirs.document["subject"]
    assert shown["from"] == {"name": "Gräce", "address": "grace@example.org"}
    assert [person["address"] for person in shown["to"]] == ["ada@example.com", "bob@example.net"]
    assert shown["date"] == shown["idate"] == "2026-01-02T03:04:05.000Z"
    return shown


def check_whole(theirs: Account, path: str) -> None:
    """Source and attachments."""
    assert theirs.client.get(f"{path}/message.eml").data == theirs.kind.raw
    for number, _, content in theirs.kind.files:
        answer = theirs.client.get(f"{path}/attachments/{number}")
        assert (answer.status_code, answer.data) == (200, content), number


def test_the_fixtures_are_whole(theirs: Account) -> None:
    """What the original's own server gives out are the bytes that came in; at times it loses a line break of base64."""
    view = ImapView(theirs.document, theirs.store.databases.gridfs)
    if "attachmentMap" in theirs.document["mimeTree"]:
        kept = theirs.kind.raw.replace(b"\r\n\r\n--", b"\r\n--")
        assert view.whole().replace(b"\r\n\r\n--", b"\r\n--") == kept
        assert view.size == view.counted() == len(theirs.kind.raw)


def test_read(theirs: Account) -> None:
    shown = check_shown(theirs, theirs.path)
    if theirs.kind.files:
        assert [(a["id"], a["filename"]) for a in shown["attachments"]] == [f[:2] for f in theirs.kind.files]
    assert shown.get("encrypted", False) == (theirs.document["subject"] == "Plan secret")
    check_whole(theirs, theirs.path)


def test_listed_and_found(theirs: Account) -> None:
    options = {"threadCounters": True, "metaData": True, "includeHeaders": "message-id"}
    listed = theirs.get(theirs.messages(theirs.inbox), **options)
    (row,) = listed["results"]
    assert (listed["total"], row["id"], row["threadMessageCount"]) == (1, theirs.document["uid"], 1)
    assert row["headers"] == {"message-id": theirs.document["msgid"]}
    assert row["attachments"] == theirs.document["ha"]
    assert {name for name in FLAGS if row[name]} == theirs.kind.flags
    for query in (
        {"q": theirs.kind.word or "subject:plan"}, {"query": theirs.kind.word or "plan"}, {"from": "GRACE@"},
        {"to": "bob@example.net"}, {"subject": "plan"}, {"mailbox": str(theirs.inbox), "minSize": 10},
        {"q": "from:grace subject:plan"},
    ):  # fmt: skip
        found = theirs.get(f"/users/{theirs.user}/search", **query)["results"]
        assert [row["id"] for row in found] == [theirs.document["uid"]], query


def test_changed(theirs: Account) -> None:
    body = {"seen": True, "flagged": True, "deleted": False, "metaData": {"b": 2}}
    assert theirs.ask("PUT", theirs.path, json=body)["updated"] == 1
    shown = check_shown(theirs, theirs.path, seen=True, flagged=True)
    assert shown["metaData"] == {"b": 2}
    check_whole(theirs, theirs.path)
    (row,) = theirs.rows("messages")
    box = theirs.store.mailboxes.get(theirs.user, theirs.inbox)
    assert row["modseq"] == box["modifyIndex"] == theirs.document["modseq"] + 1
    assert set(row["flags"]) == set(theirs.document["flags"]) | {"\\Seen", "\\Flagged"}
    assert (row["unseen"], row["flagged"], row["undeleted"], row["searchable"]) == (False, True, True, True)
    (entry,) = [entry for entry in theirs.rows("journal") if entry["command"] == "FETCH"]
    assert (entry["uid"], entry["modseq"], entry["flags"]) == (row["uid"], row["modseq"], row["flags"])


def test_moved(theirs: Account) -> None:
    before, trash = theirs.files(), theirs.box("Trash")
    (document,) = theirs.rows("messages")
    moved = theirs.ask("PUT", theirs.path, json={"moveTo": str(trash)})
    (pair,) = moved["id"]
    path = theirs.message(trash, pair[1])
    check_shown(theirs, path)
    check_whole(theirs, path)
    (row,) = theirs.rows("messages")
    place = {"mailbox", "uid", "modseq", "exp", "rdate", "retention", "retentionTime", "flagged"}
    assert without(row, place) == without(document, place)
    assert (row["exp"], row["flagged"]) == (True, "\\Flagged" in row["flags"])
    assert theirs.files() == before
    assert theirs.used() == theirs.document["size"]
    assert theirs.client.get(theirs.path).status_code == 404


def without(document: Row, names: set[str]) -> Row:
    return {name: value for name, value in document.items() if name not in names}


def test_deleted_and_brought_back(theirs: Account) -> None:
    before = theirs.files()
    theirs.ask("DELETE", theirs.path)
    assert theirs.used() == 0
    if "draft" in theirs.kind.flags:
        assert not theirs.rows("archived")
        return
    (archived,) = theirs.get(f"/users/{theirs.user}/archived/messages")["results"]
    assert archived["subject"] == theirs.document["subject"]
    assert theirs.files() == before
    back = theirs.ask("POST", f"/users/{theirs.user}/archived/messages/{archived['id']}/restore", json={})
    assert (back["mailbox"], back["id"]) == (str(theirs.inbox), theirs.document["uid"] + 1)
    path = theirs.message(theirs.inbox, back["id"])
    check_shown(theirs, path)
    check_whole(theirs, path)
    assert theirs.used() == theirs.document["size"]
    assert theirs.files() == before


def test_gone_for_good(theirs: Account) -> None:
    """Files lose their references, and go with the clean-up a day later; those that no map counts stay."""
    answer = theirs.ask("DELETE", theirs.messages(theirs.inbox), query_string={"skipArchive": "true"})
    assert (answer["deleted"], answer["errors"]) == (1, 0)
    counted = "attachmentMap" in theirs.document["mimeTree"]
    assert set(theirs.files().values()) <= {(0, 0) if counted else (1, MAGIC)}
    long_ago = {"$set": {"metadata.cu": theirs.document["idate"]}}
    theirs.store.databases.gridfs["attachments.files"].update_many({}, long_ago)
    assert Sweep(theirs.store).run() is not None
    assert bool(theirs.files()) != counted


@pytest.mark.parametrize("action", ["reply", "forward"])
def test_answered_and_forwarded_by_reference(theirs: Account, action: str) -> None:
    reference = {
        "mailbox": str(theirs.inbox),
        "id": theirs.document["uid"],
        "action": action,
        "attachments": True,
    }
    body = {"reference": reference, "text": "So be it", "to": [{"address": "eve@example.com"}]}
    drafts = theirs.box("Drafts")
    stored = theirs.ask("POST", theirs.messages(drafts), json=body)["message"]["id"]
    path = theirs.message(drafts, stored)
    parts = message_from_bytes(theirs.client.get(f"{path}/message.eml").data)
    taken = [part.get_payload(decode=True) for part in parts.walk() if part.get_filename()]
    apart = [content for number, _, content in theirs.kind.files if not related(theirs, number)]
    assert taken == apart + theirs.kind.old
    assert theirs.document["msgid"] in parts["References"]
    theirs.ask("POST", f"{path}/submit", json={})
    shown = theirs.get(theirs.path)
    assert (shown["answered"], shown["forwarded"]) == (action == "reply", action == "forward")


def related(theirs: Account, number: str) -> bool:
    return next(a["related"] for a in theirs.document["attachments"] if a["id"] == number)


def test_forwarded_as_it_is(theirs: Account) -> None:
    theirs.ask("POST", f"{theirs.path}/forward", json={"addresses": ["eve@example.com"]})
    assert queued(theirs) == theirs.kind.raw.partition(b"\r\n\r\n")[2]


def queued(theirs: Account) -> bytes:
    """The body that goes out."""
    chunks = theirs.store.databases.sender["mail.chunks"].find().sort("n", 1)
    return b"".join(chunk["data"] for chunk in chunks)


def test_submitted(theirs: Account) -> None:
    answer = theirs.client.post(f"{theirs.path}/submit", json={})
    if "draft" not in theirs.kind.flags:
        assert answer.json["code"] == "MessageNotDraft"
        return
    sent = theirs.message(theirs.box("Sent Mail"), answer.json["message"]["id"])
    shown = theirs.get(sent)
    assert (shown["draft"], shown["seen"], shown["text"]) == (False, True, theirs.kind.text)
    assert shown["files"][0]["id"] == "6" * 24
    assert shown["metaData"] == {"a": 1}
    (row,) = theirs.store.databases.sender["zone-queue"].find()
    assert row["recipient"] == "grace@example.org", "what was given with the draft, not its headers"
    assert theirs.client.get(theirs.path).status_code == 404


def test_a_file_of_theirs_costs_a_message_of_ours_no_byte(
    client: Client, store: Store, make_user: Callable[..., ObjectId]
) -> None:
    """The original has decoded uneven lines of base64 under the same id, and cannot make them again."""
    text = lines(PDF)
    uneven = text[:78] + text[78:120] + b"\r\n" + text[120:]
    File(uneven, "application/pdf").put(store.databases.gridfs, MAGIC)
    user = make_user()
    box = f"/users/{user}/mailboxes/{store.mailboxes.by_path(user, 'INBOX')['_id']}/messages"
    kind = "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64"
    given = b"--b\r\n" + kind.encode() + b"\r\n\r\n" + uneven + b"\r\n--b--\r\n"
    sent = raw(top("uneven", "Content-Type: multipart/mixed; boundary=b"), given)
    for uid in (1, 2):
        client.post(box, data=sent, headers={"Content-Type": "message/rfc822"})
        assert client.get(f"{box}/{uid}/message.eml").data == sent
        assert client.get(f"{box}/{uid}/attachments/ATT00001").data == PDF
    for uid in (1, 2):
        client.delete(f"{box}/{uid}")
    store.databases.main["archived"].update_many({}, {"$set": {"rdate": 0}})
    assert Sweep(store).run()
    assert sorted(
        (file["metadata"]["c"], file["metadata"]["m"])
        for file in store.databases.gridfs["attachments.files"].find()
    ) == [(0, 0), (1, MAGIC)]


def test_counted(client: Client, store: Store, make_user: Callable[..., ObjectId]) -> None:
    """The original's changes are seen in counts, threads and quota, also those made between two readings."""
    theirs = Account(client, store, make_user(), KINDS["plain"])
    assert counts(theirs) == (1, 1)
    thread = {"thread": theirs.document["thread"], "subject": "Re: Plan plain", "flags": ["\\Seen"]}
    again = Stored(leaf(["Message-ID: <2@x>"], b"x"), fields=thread)
    theirs.original.add(theirs.user, theirs.inbox, again)
    assert counts(theirs) == (2, 1)
    listed = theirs.get(theirs.messages(theirs.inbox), threadCounters=True)["results"]
    assert [row["threadMessageCount"] for row in listed] == [2, 2]
    store.databases.users["users"].update_one(
        {"_id": theirs.user}, {"$set": {"storageUsed": 3e9, "quota": 5e9}}
    )
    answer = theirs.ask("POST", f"/users/{theirs.user}/quota/reset", json={})
    wanted = sum(row["size"] for row in theirs.rows("messages"))
    assert (answer["previousStorageUsed"], answer["storageUsed"]) == (3_000_000_000, wanted)


def test_counted_while_they_write(client: Client, store: Store, make_user: Callable[..., ObjectId]) -> None:
    """A count between the sequence and the message does not stay wrong, whatever of ours comes after."""
    theirs = Account(client, store, make_user(), KINDS["plain"])
    boxes = store.databases.main["mailboxes"]
    boxes.update_one({"_id": theirs.inbox}, {"$inc": {"uidNext": 1, "modifyIndex": 1}})
    assert counts(theirs) == (1, 1)
    copy = {**theirs.document, "_id": ObjectId(), "uid": 2, "modseq": 3}
    store.databases.main["messages"].insert_one(copy)
    theirs.ask("PUT", theirs.path, json={"seen": True})
    later(store, theirs.inbox)
    assert counts(theirs) == (2, 1)
    (box,) = boxes.find({"_id": theirs.inbox})
    assert "again" not in box["counted"], "it is settled now"
    assert counts(theirs) == (2, 1)


def later(store: Store, mailbox: ObjectId) -> None:
    """As if a minute had gone by."""
    change = {"$set": {"counted.again": 0}}
    wanted = {"_id": mailbox, "counted.again": {"$exists": True}}
    assert store.databases.main["mailboxes"].update_one(wanted, change).matched_count == 1


def counts(theirs: Account) -> tuple[int, int]:
    found = theirs.get(f"/users/{theirs.user}/mailboxes/{theirs.inbox}")
    return found["total"], found["unseen"]
