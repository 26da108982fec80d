"""Flags, expiry, data and place of messages."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from problems import Problem
from storage.messages import changes as message_changes
from storage.messages.uid_set import UidSet
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account, message, together, with_attachment

MIRRORS = ("unseen", "undeleted", "flagged", "draft", "searchable")


def uids(text: str) -> UidSet:
    return UidSet.parse(text)


def entries(account: Account, command: str) -> list[Row]:
    return account.all("journal", command=command)


@pytest.mark.parametrize(
    ("changes", "flags", "mirrors"),
    [
        ({"seen": True}, ["$Label", "\\Seen"], (False, True, False, False, True)),
        ({"seen": False}, ["$Label"], (True, True, False, False, True)),
        ({"deleted": True}, ["$Label", "\\Deleted"], (True, False, False, False, None)),
        (
            {"flagged": True, "draft": True},
            ["$Label", "\\Flagged", "\\Draft"],
            (True, True, True, True, True),
        ),
    ],
)
def test_flags_and_their_mirrors_move_together(
    account: Account, changes: Row, flags: list[str], mirrors: tuple[bool | None, ...]
) -> None:
    inbox = account.add(flags=["$Label"])["mailbox"]
    for _ in range(2):
        assert account.store.message_changes.update(account.id, inbox, uids("1"), changes) == 1
    after = account.all("messages")[0]
    assert after["flags"] == flags
    assert tuple(after.get(name) for name in MIRRORS) == mirrors
    account.check()


def test_a_message_is_searchable_again_when_it_is_no_longer_deleted(ada: Account) -> None:
    inbox = ada.add(flags=["\\Deleted"])["mailbox"]
    ada.store.message_changes.update(ada.id, inbox, uids("1"), {"deleted": False})
    assert ada.all("messages")[0]["searchable"] is True


def test_one_sequence_for_all_and_an_entry_for_each(ada: Account) -> None:
    stored = [ada.add() for _ in range(4)]
    before = ada.box()["modifyIndex"]
    assert ada.store.message_changes.update(ada.id, stored[0]["mailbox"], uids("2:3,99"), {"seen": True}) == 2
    assert ada.box()["modifyIndex"] == before + 1
    told = entries(ada, "FETCH")
    assert [(entry["uid"], entry["modseq"], entry["flags"]) for entry in told] == [
        (2, before + 1, ["\\Seen"]),
        (3, before + 1, ["\\Seen"]),
    ]
    assert all(entry["unseenChange"] is True and entry["message"] and entry["thread"] for entry in told)
    assert [row["modseq"] for row in ada.all("messages")] == [2, before + 1, before + 1, 5]
    ada.check()


def test_more_than_one_batch(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_changes, "_BATCH", 2)
    inbox = [account.add()["mailbox"] for _ in range(5)].pop()
    assert account.store.message_changes.update(account.id, inbox, uids("1:*"), {"flagged": True}) == 5
    trash = account.box("Trash")["_id"]
    assert account.store.message_changes.move(account.id, inbox, trash, uids("1:*"), {}) == [
        (n, n) for n in range(1, 6)
    ]
    account.check()


def test_expiry_and_data(ada: Account) -> None:
    inbox = ada.add(path="Trash")["mailbox"]
    date = datetime(2030, 1, 1, tzinfo=UTC)
    ada.store.message_changes.update(
        ada.id, inbox, uids("1"), {"expires": date, "metaData": {"$set": "$flags", "é": 1}}
    )
    row = ada.all("messages")[0]
    assert (row["exp"], row["rdate"], row["meta"]["custom"]) == (
        True,
        1_893_456_000_000,
        '{"$set":"$flags","é":1}',
    )
    assert "retention" not in row
    ada.store.message_changes.update(ada.id, inbox, uids("1"), {"expires": False})
    row = ada.all("messages")[0]
    assert row["exp"] is False
    assert "rdate" not in row


def test_what_cannot_be_changed(ada: Account, store: Store) -> None:
    inbox, other = ada.add()["mailbox"], Account(store)
    before = ada.box()["modifyIndex"]
    for user, box, which, changes, code in (
        (ada.id, inbox, "1", {}, "NoUpdates"),
        (ada.id, ObjectId(), "1", {"seen": True}, "NoSuchMailbox"),
        (other.id, inbox, "1", {"seen": True}, "NoSuchMailbox"),
        (ada.id, inbox, "2", {"seen": True}, "MessageNotFound"),
        (ada.id, inbox, "9" * 30, {"seen": True}, "MessageNotFound"),
    ):
        with pytest.raises(Problem, match=code):
            ada.store.message_changes.update(user, box, uids(which), changes)
    assert ada.box()["modifyIndex"] == before


def test_many_change_the_same_message(account: Account) -> None:
    inbox = account.add()["mailbox"]
    names = ("seen", "flagged", "deleted", "draft")
    results = together(
        24,
        lambda n: account.store.message_changes.update(
            account.id, inbox, uids("1"), {names[n % 4]: n % 3 > 0}
        ),
    )
    assert results == [1] * 24
    row = account.all("messages")[0]
    for mirror, flag, expected in (
        ("unseen", "\\Seen", False),
        ("flagged", "\\Flagged", True),
        ("draft", "\\Draft", True),
    ):
        assert row[mirror] == ((flag in row["flags"]) == expected)
    assert len({entry["modseq"] for entry in entries(account, "FETCH")}) == 24
    account.check()


def test_flags_are_added(ada: Account) -> None:
    stored = ada.add(flags=["\\Seen"])
    ada.store.message_changes.add_flags(ada.id, stored, ["\\Answered", "$Forwarded"])
    ada.store.message_changes.add_flags(ada.id, stored, ["\\Answered"])
    row = ada.all("messages")[0]
    assert row["flags"] == ["\\Seen", "\\Answered", "$Forwarded"]
    assert [entry["flags"] for entry in entries(ada, "FETCH")] == [row["flags"]] * 2
    assert row["modseq"] == ada.box()["modifyIndex"] == 4


def test_a_move_changes_place_and_nothing_else(account: Account) -> None:
    first = account.add(with_attachment(content=ObjectId().binary.hex() + "AAAA"))
    account.add(flags=["\\Seen"])
    account.add(path="Trash")
    trash = account.box("Trash")["_id"]
    moved = account.store.message_changes.move(account.id, first["mailbox"], trash, uids("2,1"), {})
    assert moved == [(1, 2), (2, 3)]
    after = next(row for row in account.all("messages") if row["_id"] == first["_id"])
    changed = {name for name in after if after[name] != first.get(name)}
    assert changed <= {"mailbox", "uid", "modseq", "retention", "retentionTime", "exp", "rdate"}
    assert after["rdate"] == after["retentionTime"] + 2_592_000_000
    file = account.store.attachments.file(first["mimeTree"]["attachmentMap"]["ATT00001"])
    assert file["metadata"]["c"] == 1
    account.check()


def test_a_move_tells_both_mailboxes(ada: Account) -> None:
    stored = ada.add()
    trash = ada.box("Trash")["_id"]
    ada.store.message_changes.move(ada.id, stored["mailbox"], trash, uids("1"), {"seen": True})
    left, came = entries(ada, "EXPUNGE")[0], entries(ada, "EXISTS")[-1]
    assert (left["mailbox"], left["uid"], left["unseen"], left["modseq"]) == (stored["mailbox"], 1, True, 3)
    assert (came["mailbox"], came["uid"], came["unseen"], came["modseq"]) == (trash, 1, False, 2)
    assert came["message"] == left["message"] == stored["_id"]
    assert came["_id"] > left["_id"]


def test_a_moved_message_takes_the_sequence_of_its_new_mailbox(ada: Account) -> None:
    """One ahead of it would make IMAP STORE of other clients pass the message over in silence."""
    inbox = ada.add()["mailbox"]
    for _ in range(5):
        ada.store.message_changes.update(ada.id, inbox, uids("1"), {"seen": True})
    trash = ada.box("Trash")["_id"]
    ada.store.message_changes.move(ada.id, inbox, trash, uids("1"), {})
    assert ada.all("messages")[0]["modseq"] == ada.box("Trash")["modifyIndex"] == 2


def test_what_is_changed_on_the_way(ada: Account) -> None:
    inbox = ada.add()["mailbox"]
    changes = {"seen": True, "flagged": True, "expires": datetime(2030, 1, 1, tzinfo=UTC)}
    ada.store.message_changes.move(ada.id, inbox, ada.box("Trash")["_id"], uids("1"), changes)
    row = ada.all("messages")[0]
    assert (row["flags"], row["unseen"], row["rdate"]) == (["\\Seen", "\\Flagged"], False, 1_893_456_000_000)
    ada.check()


@pytest.mark.parametrize(
    ("way", "marks", "told"),
    [
        (["INBOX", "Junk"], [None, True], [None, 1]),
        (["Junk", "INBOX"], [True, None], [None, -1]),
        (["Junk", "Trash", "Junk"], [True, True, True], [None, None, None]),
        (["Junk", "Trash", "INBOX"], [True, True, None], [None, None, -1]),
        (["INBOX", "Trash"], [None, None], [None, None]),
    ],
)
def test_spam_is_marked_by_where_it_goes(
    ada: Account, way: list[str], marks: list[Any], told: list[Any]
) -> None:
    ada.add(path=way[0])
    seen = [ada.all("messages")[0].get("junk")]
    for source, target in itertools.pairwise(way):
        ada.store.message_changes.move(
            ada.id, ada.box(source)["_id"], ada.box(target)["_id"], uids("1:*"), {}
        )
        seen.append(ada.all("messages")[0].get("junk"))
    assert seen == marks
    assert [entry.get("junk") for entry in entries(ada, "EXISTS")] == told


def test_a_move_into_the_same_mailbox_renumbers(account: Account) -> None:
    inbox = [account.add(), account.add()][0]["mailbox"]
    assert account.store.message_changes.move(account.id, inbox, inbox, uids("1:*"), {}) == [(1, 3), (2, 4)]
    assert [row["uid"] for row in account.all("messages")] == [3, 4]
    account.check()


def test_what_cannot_be_moved(ada: Account, store: Store) -> None:
    inbox, trash, other = ada.add()["mailbox"], ada.box("Trash")["_id"], Account(store)
    for user, source, target, which, code in (
        (ada.id, ObjectId(), trash, "1", "NoSuchMailbox"),
        (ada.id, inbox, other.box()["_id"], "1", "NoSuchMailbox"),
        (other.id, inbox, other.box()["_id"], "1", "NoSuchMailbox"),
        (ada.id, inbox, trash, "2", "MessageNotFound"),
    ):
        with pytest.raises(Problem, match=code):
            ada.store.message_changes.move(user, source, target, uids(which), {})
    assert (ada.box()["modifyIndex"], ada.box("Trash")["modifyIndex"]) == (2, 1)


def test_two_who_move_the_same_messages_move_each_once(ada: Account) -> None:
    for number in range(6):
        ada.add(message(f"no {number}"))
    inbox, targets = ada.box()["_id"], [ada.box("Trash")["_id"], ada.box("Junk")["_id"]]
    results = together(
        8, lambda n: ada.store.message_changes.move(ada.id, inbox, targets[n % 2], uids("1:*"), {})
    )
    moved = [pair for result in results if isinstance(result, list) for pair in result]
    assert sorted(old for old, _ in moved) == list(range(1, 7))
    assert {r.code for r in results if isinstance(r, Problem)} <= {"MessageNotFound"}
    assert len(ada.all("messages")) == 6
    ada.check()


def test_moves_there_and_back_at_once(ada: Account) -> None:
    inbox, trash = ada.box()["_id"], ada.box("Trash")["_id"]
    for number in range(8):
        ada.add(message(f"no {number}"), path="INBOX" if number % 2 else "Trash")
    ways = [(inbox, trash), (trash, inbox)]
    results = together(12, lambda n: ada.store.message_changes.move(ada.id, *ways[n % 2], uids("1:*"), {}))
    assert all(isinstance(r, list) or r.code == "MessageNotFound" for r in results), results
    assert len(ada.all("messages")) == 8
    ada.check()
