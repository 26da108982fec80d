"""The change log: what IMAP sessions and event streams follow."""

from __future__ import annotations

from datetime import UTC, datetime

from bson import ObjectId

from storage.events.journal import exists, expunge, fetch
from storage.store import Store

MESSAGE = {
    "_id": ObjectId(), "uid": 4, "thread": ObjectId(), "modseq": 9, "unseen": True, "flags": ["\\Seen"],
    "idate": datetime(2026, 1, 1, tzinfo=UTC),
}  # fmt: skip
COMMON = {"uid": 4, "message": MESSAGE["_id"], "thread": MESSAGE["thread"], "modseq": 9}


def test_entries() -> None:
    came = {"command": "EXISTS", **COMMON, "unseen": True, "idate": MESSAGE["idate"]}
    assert exists(MESSAGE) == exists(MESSAGE, 0) == came
    assert exists(MESSAGE, -1) == {**came, "junk": -1}
    assert expunge(MESSAGE) == {"command": "EXPUNGE", **COMMON, "unseen": True}
    assert fetch(MESSAGE, unseen_change=True) == {
        "command": "FETCH", **COMMON, "flags": ["\\Seen"], "unseenChange": True,
    }  # fmt: skip


def test_kept_in_their_order_with_their_time(store: Store) -> None:
    user, mailbox = ObjectId(), ObjectId()
    store.journal.append(user, mailbox, [{"command": "FETCH", "modseq": n} for n in range(200)])
    store.journal.append(user, mailbox, [])
    rows = list(store.databases.main["journal"].find({"user": user}).sort("_id", 1))
    assert [row["modseq"] for row in rows] == list(range(200))
    assert {row["mailbox"] for row in rows} == {mailbox}
    assert all(isinstance(row["created"], datetime) for row in rows), (
        "a TTL index removes only what has a date"
    )
