"""Storing messages: all of it or nothing, and in order whoever comes at the same time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, ObjectId
from pymongo.errors import OperationFailure

from problems import Problem
from storage.base.database import DatabaseNames
from storage.messages.intake import NewMessage
from storage.store import Store
from tests.storage.conftest import Account, message, together, with_attachment

FIELDS = {
    "_id", "root", "v", "user", "mailbox", "uid", "modseq", "idate", "hdate", "flags", "unseen", "undeleted",
    "flagged", "draft", "searchable", "size", "ha", "magic", "mimeTree", "envelope", "bodystructure", "headers",
    "msgid", "subject", "intro", "text", "html", "thread", "meta", "filters", "exp", "retention", "retentionTime",
    "userDeleted", "copied", "mallard",
}  # fmt: skip


def test_the_document_is_what_wildduck_reads(ada: Account) -> None:
    date = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    stored = ada.add(flags=["\\Seen", "$Label"], date=date, meta={"source": "API"})
    on_disk = ada.all("messages")[0]
    assert set(on_disk) == FIELDS
    assert on_disk["root"] == on_disk["_id"] == stored["_id"]
    assert (on_disk["uid"], on_disk["modseq"], on_disk["v"]) == (1, 2, "1.0")
    assert (on_disk["idate"], on_disk["hdate"]) == (date, date)
    assert (on_disk["flags"], on_disk["unseen"], on_disk["undeleted"]) == (["\\Seen", "$Label"], False, True)
    assert 0 <= on_disk["magic"] <= 65_535
    assert isinstance(on_disk["magic"], int)
    assert (on_disk["exp"], on_disk["retention"], on_disk["filters"]) == (False, 0, [])
    assert stored["uid"] == 1
    assert stored["mailbox"] == ada.box()["_id"]
    ada.check()


def test_deleted_ones_are_not_searchable_and_junk_is_marked(ada: Account) -> None:
    assert "searchable" not in ada.add(flags=["\\Deleted"])
    stored = ada.add(path="Junk")
    assert stored["junk"] is True
    assert stored["exp"] is True
    assert stored["rdate"] == stored["retentionTime"] + 2_592_000_000


def test_what_a_delivery_knows(ada: Account) -> None:
    matched = ObjectId()
    stored = ada.add(
        outbound=["q1"],
        verification_results={"spf": "example.com"},
        filters=[matched, "block:tag:1"],
        forward_targets=[{"type": "mail", "value": "a@b.de"}],
    )
    on_disk = ada.store.messages.find(ada.id, stored["mailbox"], 1)
    assert (on_disk["outbound"], on_disk["filters"]) == (["q1"], [matched, "block:tag:1"])
    assert on_disk["verificationResults"] == {"spf": "example.com"}
    assert on_disk["forwardTargets"] == [{"type": "mail", "value": "a@b.de"}]
    assert ada.add(outbound=["q1", "q2"])["outbound"] == ["q1", "q2"]


def test_the_journal_is_told(ada: Account) -> None:
    stored = ada.add()
    entry = ada.all("journal")[0]
    entry.pop("_id"), entry.pop("created")
    assert entry == {
        "user": ada.id, "mailbox": stored["mailbox"], "command": "EXISTS", "uid": 1, "message": stored["_id"],
        "thread": stored["thread"], "modseq": 2, "unseen": True, "idate": stored["idate"],
    }  # fmt: skip


def test_sixteen_at_a_time_into_one_mailbox(account: Account) -> None:
    user, box = account.document, account.box()
    results = together(
        64, lambda n: account.store.intake.add(NewMessage(user=user, mailbox=box, raw=message(f"no {n}")))
    )
    assert all(isinstance(result, dict) for result in results), results
    by_uid = sorted(results, key=lambda row: row["uid"])
    assert [row["uid"] for row in by_uid] == list(range(1, 65))
    assert [row["modseq"] for row in by_uid] == list(range(2, 66))
    assert account.box()["modifyIndex"] == 65
    assert sorted(row["modseq"] for row in account.all("journal")) == list(range(2, 66))
    account.check()


def test_the_quota_holds_for_many_at_once(store: Store) -> None:
    size = len(message("no 00"))
    ada = Account(store, quota=5 * size + size // 2)
    user, box = ada.document, ada.box()
    results = together(
        16, lambda n: store.intake.add(NewMessage(user=user, mailbox=box, raw=message(f"no {n:02}")))
    )
    assert sum(isinstance(result, dict) for result in results) == 5
    assert {r.code for r in results if isinstance(r, Problem)} == {"OverQuotaError"}
    ada.check()


def test_without_a_quota_of_its_own_the_setting_holds(mongo: Any) -> None:
    store = Store(mongo, DatabaseNames(main="test_quota"))
    store.settings.put("const:max:storage", 10)
    try:
        with pytest.raises(Problem, match="OverQuotaError"):
            Account(store).add()
    finally:
        mongo.drop_database("test_quota")


def test_the_largest_message(ada: Account) -> None:
    with pytest.raises(Problem, match="MessageTooLarge"):
        ada.add(bytes(67_108_865))
    assert not ada.all("messages")


def references(account: Account) -> tuple[int, int]:
    """Count and sum of the only attachment that this test stores."""
    rows = list(account.store.databases.gridfs["attachments.files"].find({"metadata.m": {"$exists": True}}))
    newest = max(rows, key=lambda row: row["uploadDate"])
    return newest["metadata"]["c"], newest["metadata"]["m"]


def test_into_a_mailbox_that_is_gone(account: Account) -> None:
    account.store.mailboxes.create(account.id, "A", {}, 1500)
    box = account.box("A")
    account.store.mailboxes.delete(box)
    raw = with_attachment(content=ObjectId().binary.hex())
    with pytest.raises(Problem, match="NoSuchMailbox"):
        account.store.intake.add(NewMessage(user=account.document, mailbox=box, raw=raw))
    assert account.document["storageUsed"] == 0
    assert references(account) == (0, 0)
    assert not account.all("messages")
    assert not account.all("addressregister")
    assert [entry["command"] for entry in account.all("journal")] == ["CREATE", "DELETE"]


@pytest.fixture
def refuse_inserts(account: Account) -> Any:
    """The database takes no message of the account."""
    database = account.store.databases.main
    database.command("collMod", "messages", validator={"user": {"$ne": account.id}})
    yield
    database.command("collMod", "messages", validator={})


@pytest.mark.usefixtures("refuse_inserts")
def test_an_insert_that_fails_leaves_nothing(account: Account) -> None:
    with pytest.raises(OperationFailure):
        account.add(with_attachment(content=ObjectId().binary.hex()))
    assert references(account) == (0, 0)
    assert not account.all("journal")
    account.check()


def test_files_stay_when_nobody_knows_whether_the_message_is_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit whose answer was lost may have happened; its attachments must not be cleaned away."""
    ada, run = Account(store), store.transactions.run

    def lose_the_answer(steps: Callable[..., Any]) -> None:
        run(steps)
        raise OperationFailure("lost", 64, {"errorLabels": ["UnknownTransactionCommitResult"]})

    monkeypatch.setattr(store.transactions, "run", lose_the_answer)
    with pytest.raises(OperationFailure):
        ada.add(with_attachment(content=ObjectId().binary.hex()))
    assert len(ada.all("messages")) == 1
    assert references(ada)[0] == 1


MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
WITHIN = b"Content-Type: message/rfc822\r\n\r\n"
LINES = (b"word " * 14 + b"\r\n") * 280


def parts(part: bytes, number: int) -> bytes:
    return MIXED + (b"--b\r\n" + part + b"\r\n") * number + b"--b--\r\n"


LARGE = {
    "messages forwarded as attachments": parts(WITHIN + b"Subject: s\r\n\r\n" + LINES * 14, 60),
    "a message within a message within": parts(
        WITHIN * 2 + MIXED.replace(b"=b", b"=c") + b"--c\r\nContent-Type: a/b\r\n\r\n" + b"x" * 17_000_000, 1
    ),
    "headers without number, and text": b"Subject: x\r\n" * 170_000
    + parts(b"Content-Type: text/plain\r\n\r\n" + LINES * 12, 25),
}


@pytest.mark.parametrize("name", list(LARGE))
def test_what_is_too_much_for_a_document_is_kept_beside_it(ada: Account, name: str) -> None:
    stored = ada.add(LARGE[name])
    found = ada.store.messages.find(ada.id, stored["mailbox"], stored["uid"])
    assert b"".join(ada.store.messages.source(found)) == LARGE[name]
    ada.check()


def test_attachments_are_shared_and_know_their_hash(ada: Account) -> None:
    raw = with_attachment(content=ObjectId().binary.hex() + "AAAA")
    first, second = ada.add(raw), ada.add(raw)
    file_id = first["mimeTree"]["attachmentMap"]["ATT00001"]
    assert second["mimeTree"]["attachmentMap"]["ATT00001"] == file_id
    metadata = ada.store.attachments.file(file_id)["metadata"]
    assert (metadata["c"], metadata["m"]) == (2, first["magic"] + second["magic"])
    assert {m["attachments"][0]["fileContentHash"] for m in (first, second)} == {metadata["fileContentHash"]}


def test_threads_join_by_reference_and_subject(ada: Account) -> None:
    first = ada.add(message("Plan", more="Message-ID: <1@x>\r\n"))
    reply = ada.add(message("Re: Plan", more="In-Reply-To: <1@x>\r\n"))
    other = ada.add(message("Another", more="In-Reply-To: <1@x>\r\n"))
    assert first["thread"] == reply["thread"] != other["thread"]
    draft = ada.add(message("Re: Plan"), thread_of=first)
    assert draft["thread"] == first["thread"]
    assert ada.add(message("Elsewhere"), thread_of=first)["thread"] != first["thread"]


def test_who_is_entered_in_the_register(ada: Account) -> None:
    ada.add(message(sender="Grace <Grace.H@Example.com>"))
    ada.add(message(sender="Robot <no-reply@example.com>"))
    ada.add(message(sender="list@example.com", more="List-ID: <l.example.com>\r\n"))
    ada.add(message(sender="spam@example.com"), path="Junk")
    ada.add(message(sender="ada@example.com"), flags=["\\Draft"])
    ada.add(
        message(sender="ada@example.com", more="Cc: Bob <bob@example.com>, g: c@example.com;\r\n"),
        path="Sent Mail",
    )
    entries = {row["addrview"]: (row["address"], row.get("name")) for row in ada.all("addressregister")}
    assert entries == {
        "graceh@example.com": ("grace.h@example.com", "Grace"),
        "ada@example.com": ("ada@example.com", None),
        "bob@example.com": ("bob@example.com", "Bob"),
    }


def test_a_message_that_is_stored_is_not_refused_for_its_addresses(ada: Account) -> None:
    database = ada.store.databases.main
    database.command("collMod", "addressregister", validator={"user": {"$ne": ada.id}})
    try:
        ada.add()
    finally:
        database.command("collMod", "addressregister", validator={})
    assert len(ada.all("messages")) == 1
    assert not ada.all("addressregister")


def test_a_source_that_the_tree_cannot_give_back_is_kept_apart(ada: Account) -> None:
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\nepilogue\r\n"
        + b"y" * 700_000
    )
    stored = ada.add(raw)
    assert stored["mallard"]["layout"] == ["SOURCE"]
    file_id = Binary(stored["mimeTree"]["attachmentMap"]["SOURCE"])
    assert ada.store.databases.gridfs["attachments.files"].find_one({"_id": file_id})
    assert b"".join(ada.store.messages.source(stored)) == raw
