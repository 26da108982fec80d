"""A shared attachment from its first message to its end: after each step the counters agree with a recount."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from bson import ObjectId

from jobs.runner import Runner
from jobs.sweep import Sweep
from storage.messages.intake import NewMessage
from storage.messages.uid_set import UidSet
from storage.store import Store
from tests.jobs.conftest import HandClock
from tests.jobs.test_sweep import with_files
from tests.rows import Row

Make = Callable[..., ObjectId]
SHARED, OWN = "c2hhcmVk", "b3du"


class Mail:
    """An account, and what its messages and archived copies refer to."""

    def __init__(self, store: Store, user: ObjectId) -> None:
        self.store = store
        self.user = user

    def box(self, path: str = "INBOX") -> Row:
        return self.store.mailboxes.by_path(self.user, path)

    def upload(self, *contents: str) -> Row:
        return self.store.intake.add(
            NewMessage(user=self.store.users.get(self.user), mailbox=self.box(), raw=with_files(*contents))
        )

    def here(self, path: str = "INBOX") -> list[Row]:
        return list(
            self.store.databases.main["messages"].find({"mailbox": self.box(path)["_id"]}).sort("uid", 1)
        )

    def copy_as_wildduck_does(self, message: Row) -> Row:
        """IMAP COPY: references first, then the copy under an id of its own with the same `magic`."""
        files = message["mimeTree"]["attachmentMap"].values()
        for file, times in Counter(map(bytes, files)).items():
            change = {"$inc": {"metadata.c": times, "metadata.m": times * message["magic"]}}
            self.store.databases.gridfs["attachments.files"].update_one({"_id": file}, change)
        place = self.box("Drafts")["_id"]
        before = self.store.mailboxes.allocate(place, uids=1, total=1, unseen=int(message["unseen"]))
        row = {
            **message, "_id": ObjectId(), "mailbox": place, "uid": before["uidNext"],
            "modseq": before["modifyIndex"] + 1,
        }  # fmt: skip
        messages = self.store.databases.main["messages"]
        messages.insert_one(row)
        messages.update_one({"_id": message["_id"]}, {"$set": {"copied": True}})
        self.store.databases.users["users"].update_one(
            {"_id": self.user}, {"$inc": {"storageUsed": row["size"]}}
        )
        return row

    def check(self, *references: int) -> None:
        """Counters equal those counted anew, and in all there are so many references to each file."""
        count: Counter[bytes] = Counter()
        magic: Counter[bytes] = Counter()
        for collection in ("messages", "archived"):
            for row in self.store.databases.main[collection].find({}):
                for file in row["mimeTree"]["attachmentMap"].values():
                    count[bytes(file)] += 1
                    magic[bytes(file)] += row["magic"]
        files = self.store.databases.gridfs["attachments.files"].find({})
        kept = {bytes(row["_id"]): (row["metadata"]["c"], row["metadata"]["m"]) for row in files}
        assert kept == {file: (count[file], magic[file]) for file in kept}
        assert set(count) <= set(kept), "what is referred to is there"
        assert sorted(c for c, _ in kept.values()) == sorted(references)


@pytest.fixture
def mail(store: Store, make_user: Make) -> Mail:
    return Mail(store, make_user())


def test_from_the_first_upload_to_the_closed_account(
    mail: Mail, store: Store, clock: HandClock, make_user: Make
) -> None:
    messages, removal = store.messages, store.removal
    first = mail.upload(SHARED, SHARED)
    mail.check(2)
    second = mail.upload(SHARED, OWN)
    mail.check(3, 1)
    copy = mail.copy_as_wildduck_does(first)
    mail.check(5, 1)

    trash = mail.box("Trash")["_id"]
    ((_, uid),) = store.message_changes.move(
        mail.user, second["mailbox"], trash, UidSet((second["uid"],)), {}
    )
    mail.check(5, 1)

    removal.delete(mail.user, trash, uid)
    mail.check(5, 1)
    assert store.databases.main["archived"].count_documents({}) == 1
    place, uid = store.restoring.restore(mail.user, second["_id"])
    assert place["_id"] == trash
    mail.check(5, 1)
    source = b"".join(messages.source(messages.find(mail.user, trash, uid)))
    assert source == with_files(SHARED, OWN), "and the restored one is whole"

    store.message_changes.update(mail.user, copy["mailbox"], UidSet((copy["uid"],)), {"expires": clock.now})
    assert Sweep(store).run() == {"audits": 0, "messages": 1, "archived": 0, "attachments": 0}
    mail.check(5, 1)
    store.message_changes.update(mail.user, first["mailbox"], UidSet((first["uid"],)), {"expires": clock.now})
    assert Sweep(store).run() == {"audits": 0, "messages": 1, "archived": 0, "attachments": 0}
    mail.check(3, 1)

    third = mail.upload(OWN)
    mail.check(3, 2)
    data = {
        "user": str(mail.user),
        "subject": "Files",
        "mailbox": str(third["mailbox"]),
        "action": {"delete": True},
    }
    store.tasks.add("search-apply", data)
    assert Runner(store).run_one()
    assert mail.here() == []
    mail.check(3, 2)

    clock.move(days=25)
    assert (Sweep(store).run() or {})["archived"] == 2
    mail.check(1, 1)
    assert [row["_id"] for row in mail.here("Trash")] == [second["_id"]]
    close(mail, store, clock, make_user)


def close(mail: Mail, store: Store, clock: HandClock, make_user: Make) -> None:
    """The account goes; another one that shares a file keeps it."""
    other = Mail(store, make_user("bob"))
    mail.upload(SHARED, OWN)
    kept = other.upload(SHARED)
    store.deleted_users.soft_delete(mail.user, None)
    while Runner(store).run_one():
        pass
    clock.move(days=14, minutes=1)
    Sweep(store).run()
    clock.move(days=26)
    Sweep(store).run()
    clock.move(days=2)
    Sweep(store).run()
    assert [row["_id"] for row in other.here()] == [kept["_id"]]
    other.check(1)
    removal = store.removal
    removal.delete_all(other.user, kept["mailbox"], skip_archive=True)
    clock.move(days=2)
    assert (Sweep(store).run() or {})["attachments"] == 1
    for name in ("attachments.files", "attachments.chunks"):
        assert store.databases.gridfs[name].count_documents({}) == 0
    for name in ("messages", "archived"):
        assert store.databases.main[name].count_documents({}) == 0
