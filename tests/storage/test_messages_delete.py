"""Deletion: into the archive or for good, never half."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from problems import Problem
from storage.messages import removal
from storage.messages.uid_set import UidSet
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account, message, together, with_attachment


def pdf() -> bytes:
    return with_attachment(content=ObjectId().binary.hex() + "AAAA")


def references(account: Account, stored: Row) -> tuple[int, int]:
    metadata = account.store.attachments.file(stored["mimeTree"]["attachmentMap"]["ATT00001"])["metadata"]
    return metadata["c"], metadata["m"]


def test_a_message_goes_to_the_archive_as_it_is(account: Account) -> None:
    stored = account.add(pdf())
    account.store.removal.delete(account.id, stored["mailbox"], 1)
    assert not account.all("messages")
    archived = account.all("archived")[0]
    when = archived.pop("archived")
    assert account.store.clock() - when < timedelta(minutes=1)
    assert archived.pop("rdate") == round(when.timestamp() * 1000) + 25 * 86_400_000
    assert archived.pop("exp") is True
    assert archived == {name: value for name, value in stored.items() if name != "exp"}
    assert references(account, stored) == (1, stored["magic"]), "the archive holds its attachments"
    account.check()


def test_the_setting_says_how_long(mongo: Any) -> None:
    from storage.base.database import DatabaseNames

    store = Store(mongo, DatabaseNames(main="test_archive_time"))
    store.settings.put("const:archive:time", 1000)
    try:
        ada = Account(store)
        store.removal.delete(ada.id, ada.add()["mailbox"], 1)
        archived = ada.all("archived")[0]
        assert archived["rdate"] == round(archived["archived"].timestamp() * 1000) + 1000
    finally:
        mongo.drop_database("test_archive_time")


def test_a_draft_goes_for_good_and_gives_its_attachments_back(account: Account) -> None:
    stored = account.add(pdf(), flags=["\\Draft"])
    account.store.removal.delete(account.id, stored["mailbox"], 1)
    assert not account.all("archived")
    assert references(account, stored) == (0, 0)
    account.check()


def test_the_journal_is_told(ada: Account) -> None:
    stored = ada.add()
    ada.store.removal.delete(ada.id, stored["mailbox"], 1)
    entry = ada.all("journal", command="EXPUNGE")[0]
    assert (entry["uid"], entry["message"], entry["unseen"], entry["modseq"]) == (1, stored["_id"], True, 3)
    assert entry["thread"] == stored["thread"]
    assert ada.box()["modifyIndex"] == 3


def test_not_those_of_others(ada: Account, store: Store) -> None:
    stored, other = ada.add(), Account(store)
    for user, mailbox, uid in (
        (other.id, stored["mailbox"], 1),
        (ada.id, ObjectId(), 1),
        (ada.id, stored["mailbox"], 2),
    ):
        with pytest.raises(Problem, match="MessageNotFound"):
            store.removal.delete(user, mailbox, uid)
    assert len(ada.all("messages")) == 1


@pytest.mark.parametrize("flags", [[], ["\\Draft"]])
def test_a_message_whose_mailbox_is_gone_can_be_deleted(account: Account, flags: list[str]) -> None:
    account.store.mailboxes.create(account.id, "A", {}, 1500)
    stored = account.add(pdf(), path="A", flags=flags)
    account.store.mailboxes.delete(account.box("A"))
    account.store.removal.delete(account.id, stored["mailbox"], 1)
    assert not account.all("messages")
    assert len(account.all("archived")) == (0 if flags else 1)
    assert references(account, stored)[0] == (0 if flags else 1)
    assert [entry["uid"] for entry in account.all("journal", command="EXPUNGE")] == [1]
    account.check()


def test_old_documents_have_no_map_of_attachments(ada: Account) -> None:
    stored = ada.add(flags=["\\Draft"])
    ada.store.databases.main["messages"].update_one(
        {"_id": stored["_id"]}, {"$unset": {"mimeTree.attachmentMap": ""}}
    )
    ada.store.removal.delete(ada.id, stored["mailbox"], 1)
    assert not ada.all("messages")


def test_the_first_archived_copy_stays(ada: Account) -> None:
    stored = ada.add()
    ada.store.databases.main["archived"].insert_one({**stored, "subject": "first"})
    ada.store.removal.delete(ada.id, stored["mailbox"], 1)
    assert [row["subject"] for row in ada.all("archived")] == ["first"]


def test_many_delete_the_same(account: Account) -> None:
    stored = account.add(pdf())
    results = together(16, lambda _: account.store.removal.delete(account.id, stored["mailbox"], 1))
    assert [getattr(r, "code", r) for r in results if r is not None] == ["MessageNotFound"] * 15
    assert len(account.all("archived")) == 1
    assert len(account.all("journal", command="EXPUNGE")) == 1
    account.check()


def test_deleting_and_moving_at_once_never_leaves_a_message_in_both_places(ada: Account) -> None:
    """The archive would later give back attachments that the living message still needs."""
    ways = [ada.box()["_id"], ada.box("Trash")["_id"]]
    for number in range(12):
        ada.add(message(f"no {number}"))

    def work(number: int) -> Any:
        if number % 3 == 0:
            return ada.store.message_changes.move(
                ada.id, ways[number % 2], ways[1 - number % 2], UidSet.parse("1:*"), {}
            )
        return ada.store.removal.delete(ada.id, ways[0], number // 2 + 1)

    results = together(24, work)
    assert all(not isinstance(r, Exception) or isinstance(r, Problem) for r in results), results
    alive, archived = ({row["_id"] for row in ada.all(name)} for name in ("messages", "archived"))
    assert not alive & archived
    assert len(alive | archived) == 12
    ada.check()


def test_a_message_that_moves_away_after_it_was_copied_is_not_archived(
    lone_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without transactions that can happen."""
    ada = Account(lone_store)
    stored, trash, copy = ada.add(), ada.box("Trash")["_id"], lone_store.archive.copy

    def copy_and_move(*arguments: Any, **options: Any) -> list[ObjectId]:
        copies = copy(*arguments, **options)
        lone_store.message_changes.move(ada.id, stored["mailbox"], trash, UidSet((1,)), {})
        return copies

    monkeypatch.setattr(lone_store.archive, "copy", copy_and_move)
    with pytest.raises(Problem, match="MessageNotFound"):
        lone_store.removal.delete(ada.id, stored["mailbox"], 1)
    assert not ada.all("archived")
    assert ada.all("messages")[0]["mailbox"] == trash
    ada.check()


def test_the_quota_never_goes_below_nothing(ada: Account) -> None:
    stored = ada.add()
    ada.store.databases.users["users"].update_one({"_id": ada.id}, {"$set": {"storageUsed": 1}})
    ada.store.removal.delete(ada.id, stored["mailbox"], 1)
    assert ada.document["storageUsed"] == 0


@pytest.mark.parametrize("skip_archive", [False, True])
def test_all_of_a_mailbox(account: Account, monkeypatch: pytest.MonkeyPatch, skip_archive: bool) -> None:
    monkeypatch.setattr(removal, "_BATCH", 3)
    stored = [account.add(pdf(), flags=["\\Draft"] if n == 2 else []) for n in range(7)]
    account.add(path="Trash")
    inbox = stored[0]["mailbox"]
    assert account.store.removal.delete_all(account.id, inbox, skip_archive=skip_archive) == (7, 0)
    assert [row["mailbox"] for row in account.all("messages")] == [account.box("Trash")["_id"]]
    assert len(account.all("archived")) == (0 if skip_archive else 6)
    kept = [references(account, row)[0] for row in stored]
    assert kept == [0 if skip_archive or n == 2 else 1 for n in range(7)]
    assert len(account.all("journal", command="EXPUNGE")) == 7
    assert account.store.removal.delete_all(account.id, inbox) == (0, 0)
    account.check()


def test_what_arrives_meanwhile_stays(ada: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_BATCH", 1)
    inbox = [ada.add(), ada.add()][0]["mailbox"]
    delete = ada.store.removal._delete

    def delete_while_mail_comes(*arguments: Any, **options: Any) -> int:
        ada.add()
        return delete(*arguments, **options)

    monkeypatch.setattr(ada.store.removal, "_delete", delete_while_mail_comes)
    assert ada.store.removal.delete_all(ada.id, inbox) == (2, 0)
    assert [row["uid"] for row in ada.all("messages")] == [3, 4]


@pytest.fixture
def unarchivable(ada: Account) -> Callable[[ObjectId], None]:
    def refuse(message_id: ObjectId) -> None:
        validator = {"_id": {"$ne": message_id}}
        ada.store.databases.main.command("collMod", "archived", validator=validator)

    return refuse


def test_one_that_cannot_be_deleted_keeps_none_of_the_others(
    ada: Account, unarchivable: Callable[[ObjectId], None]
) -> None:
    stored = [ada.add() for _ in range(5)]
    unarchivable(stored[2]["_id"])
    try:
        assert ada.store.removal.delete_all(ada.id, stored[0]["mailbox"]) == (4, 1)
    finally:
        ada.store.databases.main.command("collMod", "archived", validator={})
    assert [row["_id"] for row in ada.all("messages")] == [stored[2]["_id"]]
    ada.check()


def test_all_of_no_mailbox(ada: Account, store: Store) -> None:
    for user, mailbox in ((ada.id, ObjectId()), (Account(store).id, ada.box()["_id"])):
        with pytest.raises(Problem, match="NoSuchMailbox"):
            store.removal.delete_all(user, mailbox)
