"""Expiry of messages by their mailbox."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from bson import ObjectId

from storage.messages import expiry
from storage.messages.intake import NewMessage
from storage.messages.uid_set import UidSet
from tests.storage.conftest import Account, message

HOUR = 3_600_000


def date_all(ada: Account, mailbox: ObjectId, retention: int) -> None:
    after = 0
    while after := ada.store.expiry.date_by_retention(mailbox, after, retention):
        pass


def with_retention(ada: Account, retention: int) -> ObjectId:
    ada.store.mailboxes.update(ada.box(), None, {"retention": retention})
    inbox = ada.box()["_id"]
    date_all(ada, inbox, retention)
    return ObjectId(inbox)


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_dated_anew_from_when_they_came(ada: Account, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(expiry, "_BATCH", batch)
    came = [ada.add()["retentionTime"] for _ in range(5)]
    with_retention(ada, HOUR)
    rows = ada.all("messages")
    assert [(row["exp"], row["retention"], row["rdate"]) for row in rows] == [
        (True, HOUR, t + HOUR) for t in came
    ]
    with_retention(ada, 0)
    rows = ada.all("messages")
    assert all(row["exp"] is False and row["retention"] == 0 and "rdate" not in row for row in rows)
    assert [row["retentionTime"] for row in rows] == came


def test_dates_set_by_hand_stay(ada: Account) -> None:
    inbox = [ada.add(), ada.add()][0]["mailbox"]
    ada.store.message_changes.update(
        ada.id, inbox, UidSet((1,)), {"expires": datetime(2030, 1, 1, tzinfo=UTC)}
    )
    ada.store.message_changes.update(ada.id, inbox, UidSet((2,)), {"expires": False})
    with_retention(ada, HOUR)
    first, second = ada.all("messages")
    assert first["rdate"] == 1_893_456_000_000
    assert second["exp"] is False


def test_older_documents_tell_by_their_id_when_they_came(ada: Account) -> None:
    stored = ada.add()
    messages = ada.store.databases.main["messages"]
    messages.update_one({"_id": stored["_id"]}, {"$unset": {"retentionTime": ""}})
    with_retention(ada, HOUR)
    came = round(stored["_id"].generation_time.timestamp() * 1000)
    assert ada.all("messages")[0]["rdate"] == came + HOUR


def test_all_expire_first_and_are_not_searched(ada: Account) -> None:
    inbox = ada.add()["mailbox"]
    ada.add(path="Sent Mail")
    ada.store.expiry.expire_all(inbox)
    first, other = ada.all("messages")
    assert first["exp"] is True
    assert abs(first["rdate"] - (time.time() * 1000 - 24 * HOUR)) < 60_000
    assert "searchable" not in first
    assert (other["exp"], other["searchable"]) == (False, True)


def test_a_message_joins_with_the_retention_of_that_moment(ada: Account) -> None:
    """The mailbox was read before; what was set since then counts, as nothing dates the message again."""
    old = ada.box()
    ada.store.databases.main["mailboxes"].update_one({"_id": old["_id"]}, {"$set": {"retention": HOUR}})
    row = ada.store.intake.add(NewMessage(user=ada.document, mailbox=old, raw=message()))
    assert (row["retention"], row["rdate"], row["exp"]) == (HOUR, row["retentionTime"] + HOUR, True)
