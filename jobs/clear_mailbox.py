"""`clear-folder`: all messages of a mailbox go."""

from __future__ import annotations

from bson import ObjectId

from jobs.progress import Progress
from problems import Problem
from storage.database import Document
from storage.store import Store


def clear_mailbox(store: Store, data: Document, progress: Progress) -> None:
    """Once more from the start after a crash, which finds what is left. Ends quietly when the mailbox is gone."""
    user, mailbox = ObjectId(data["user"]), ObjectId(data["mailbox"])
    try:
        deleted, _ = store.messages.delete_all(user, mailbox, skip_archive=bool(data.get("skipArchive")))
    except Problem as problem:
        if problem.code != "NoSuchMailbox":
            raise
        return
    progress.step({}, deleted, deleted)
