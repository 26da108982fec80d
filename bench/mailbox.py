"""The account that the measurements read: one mailbox with 1,000 messages."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

from bson import ObjectId
from pymongo import MongoClient

from handlers.call import Call
from handlers.users import create_user
from storage.accounts.documents import User
from storage.base.database import DatabaseNames
from storage.mailboxes.documents import Mailbox
from storage.messages.intake import NewMessage
from storage.store import Store

DATABASE = "bench"
MESSAGES = 1000
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Paths:
    """The requests that are measured."""

    get_user: str
    get_messages: str
    get_message: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def by_name(self) -> dict[str, str]:
        return {
            "getUser": self.get_user,
            "getMessages (20)": self.get_messages,
            "getMessage": self.get_message,
        }


def open_store(uri: str) -> Store:
    """The store of the run."""
    return Store(MongoClient(uri), DatabaseNames(main=DATABASE))


def fill(uri: str) -> Paths:
    """Make the account and its messages."""
    store = open_store(uri)
    store.ensure_indexes()
    body = {
        "username": "ada",
        "password": "correct horse battery",
        "address": "ada@example.com",
        "name": "Ada",
    }
    user_id = ObjectId(create_user(call=Call(store=store), body=body)["id"])
    user = store.users.get(user_id)
    inbox = store.mailboxes.by_path(user_id, "INBOX")
    for number in range(MESSAGES):
        _add(store, user, inbox, number)
    mailbox = f"/users/{user_id}/mailboxes/{inbox['_id']}/messages"
    return Paths(f"/users/{user_id}", f"{mailbox}?limit=20", f"{mailbox}/{MESSAGES // 2}")


def _add(store: Store, user: User, inbox: Mailbox, number: int) -> None:
    message = EmailMessage()
    message["From"] = f"Grace Hopper {number % 7} <grace{number % 7}@example.com>"
    message["To"] = "Ada <ada@example.com>"
    message["Subject"] = f"Minutes of meeting {number}"
    message["Message-ID"] = f"<{number}@example.com>"
    message["Date"] = date = _START + timedelta(minutes=number)
    message.set_content(f"Dear Ada,\n\nthese are the minutes of meeting {number}.\n" * 20)
    message.add_alternative(
        f"<p>Dear Ada,</p><p>these are the <b>minutes</b> of meeting {number}.</p>", subtype="html"
    )
    if number % 5 == 0:
        message.add_attachment(
            b"%PDF-" + b"x" * 4000, maintype="application", subtype="pdf", filename="minutes.pdf"
        )
    store.intake.add(NewMessage(user=user, mailbox=inbox, raw=message.as_bytes(), date=date))
