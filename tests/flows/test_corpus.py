"""Every message of the corpus goes in, is listed, searched, read and flagged, and comes back byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bson import ObjectId

from mail.mime_tree import normalize
from storage.store import Store


def test_the_corpus(
    client: Any, store: Store, make_user: Callable[..., ObjectId], corpus: list[Path]
) -> None:
    user = make_user()
    inbox = client.get(f"/users/{user}/mailboxes/resolve?path=INBOX").json["id"]
    place = f"/users/{user}/mailboxes/{inbox}/messages"
    for file in corpus:
        message = client.post(place, data=file.read_bytes(), headers={"Content-Type": "message/rfc822"})
        assert message.status_code == 200, (file.name, message.json)
        uid = message.json["message"]["id"]
        source = client.get(f"{place}/{uid}/message.eml")
        assert source.data == normalize(file.read_bytes()), file.name
        check_one(client, user, inbox, uid)
    check_listing(client, place, len(corpus))
    check_account(store, user, inbox)


def check_one(client: Any, user: ObjectId, inbox: str, uid: int) -> None:
    path = f"/users/{user}/mailboxes/{inbox}/messages/{uid}"
    shown = client.get(path)
    assert shown.status_code == 200, shown.json
    for attachment in shown.json["attachments"]:
        answer = client.get(f"{path}/attachments/{attachment['id']}")
        assert answer.status_code == 200, answer.data
    flagged = client.put(
        f"/users/{user}/mailboxes/{inbox}/messages", json={"message": str(uid), "flagged": True}
    )
    assert flagged.json == {"success": True, "updated": 1}
    found = client.get(
        f"/users/{user}/search",
        query_string={"mailbox": inbox, "id": uid, "subject": shown.json["subject"][:60].strip()},
    )
    assert found.status_code == 200, found.json


def check_listing(client: Any, place: str, count: int) -> None:
    seen: set[int] = set()
    cursor: Any = ""
    while cursor is not False:
        page = client.get(place, query_string={"limit": 25, "next": cursor, "threadCounters": True}).json
        assert page["total"] == count
        assert all(row["flagged"] for row in page["results"])
        seen.update(row["id"] for row in page["results"])
        cursor = page["nextCursor"]
    assert len(seen) == count


def check_account(store: Store, user: ObjectId, inbox: str) -> None:
    """What is counted equals what is there."""
    messages = store.databases.main["messages"]
    sizes = [row["size"] for row in messages.find({"user": user}, {"size": 1})]
    assert store.users.get(user)["storageUsed"] == sum(sizes)
    mailbox = store.mailboxes.get(user, ObjectId(inbox))
    assert mailbox["counted"]["modseq"] == mailbox["modifyIndex"]
    assert mailbox["counted"]["total"] == len(sizes)
