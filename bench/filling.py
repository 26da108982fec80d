"""Mailboxes of any size, filled by direct inserts of the documents that `mail.message.index` makes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

from bson import ObjectId
from pymongo.write_concern import WriteConcern

from handlers.call import Call
from handlers.users import create_user
from mail.message import Indexed, index
from storage.base.database import Document
from storage.mailboxes.documents import Mailbox
from storage.mailboxes.retention import retention_fields
from storage.messages.documents import flag_fields, own_fields
from storage.store import Store

RARE = 20
"""As many messages as are from a rare sender, with a rare subject, with a rare word, whatever the mailbox's size."""
_DISTINCT, _SENDERS, _THREAD, _UNSEEN = 1000, 100, 3, 10
_AT_ONCE = 1000
_START = datetime(2020, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


def make_user(store: Store, username: str) -> ObjectId:
    """An account with the usual mailboxes."""
    body = {"username": username, "password": "", "address": f"{username}@example.com"}
    return ObjectId(create_user(call=Call(store=store), body=body)["id"])


def fill(store: Store, user: ObjectId, count: int) -> Mailbox:
    """Fill INBOX of an account, by the hundred thousand in minutes; the mailbox."""
    inbox = store.mailboxes.by_path(user, "INBOX")
    messages = store.databases.main["messages"].with_options(write_concern=WriteConcern(w=1, j=False))
    batch: list[Document] = []
    for document in _documents(user, inbox, count):
        batch.append(document)
        if len(batch) == _AT_ONCE or document["uid"] == count:
            messages.insert_many(batch, ordered=False)
            size = sum(row["size"] for row in batch)
            store.databases.users["users"].update_one({"_id": user}, {"$inc": {"storageUsed": size}})
            batch.clear()
    change = {"uidNext": count + 1, "modifyIndex": count + 1}
    store.databases.main["mailboxes"].update_one(
        {"_id": inbox["_id"]}, {"$set": change, "$unset": {"counted": ""}}
    )
    return store.mailboxes.get(user, inbox["_id"])


def _documents(user: ObjectId, inbox: Mailbox, count: int) -> Iterator[Document]:
    thread = ObjectId()
    for uid in range(1, count + 1):
        if uid % _THREAD == 0:
            thread = ObjectId()
        date = _START + uid * _MINUTE
        indexed = _indexed(uid % _DISTINCT, rare=uid % (count // RARE) == 0)
        message_id = ObjectId()
        yield {
            "_id": message_id, "root": message_id, "v": "1.0", "user": user, "mailbox": inbox["_id"], "uid": uid,
            "modseq": uid + 1, "idate": date, "thread": thread, "meta": {"source": "API", "from": "", "time": date},
            "userDeleted": False, "copied": False, "filters": [], "magic": uid % 65536,
            **flag_fields([] if uid % _UNSEEN == 0 else ["\\Seen"]),
            **{name: value for name, value in retention_fields(inbox, date).items() if value is not None},
            **indexed.document,
            "mallard": own_fields(indexed),
        }  # fmt: skip


@cache
def _indexed(number: int, *, rare: bool) -> Indexed:
    sender = "Ada Unusual <ada@rare.example>" if rare else f"Grace <grace{number % _SENDERS}@example.com>"
    subject = f"Seldom said {number}" if rare else f"Minutes of meeting {number}"
    word = "quokka" if rare else "numbers"
    head = f"From: {sender}\r\nTo: Ada <ada@example.com>\r\nSubject: {subject}\r\nMessage-ID: <{number}@example.com>"
    text = f"Dear Ada,\r\n\r\nthese are the {word} of meeting {number}.\r\n"
    return index(f"{head}\r\n\r\n{text}".encode(), _START + number * _MINUTE)
