"""`clear-folder`: all messages of a mailbox go, the newest first."""

from __future__ import annotations

from bson import ObjectId

from jobs.progress import Progress
from problems import MailboxNotFound
from storage.base.database import Document
from storage.store import Store


def clear_mailbox(store: Store, data: Document, progress: Progress) -> None:
    """Batch by batch down the UIDs, from where the last one ended. Ends quietly when the mailbox is gone."""
    user, mailbox = ObjectId(data["user"]), ObjectId(data["mailbox"])
    skip_archive = bool(data.get("skipArchive"))
    below, done = progress.resume.get("below") or _top(store, user, mailbox), progress.resume.get("done", 0)
    while below:
        gone, _, below = store.removal.delete_some(user, mailbox, below, skip_archive=skip_archive)
        done += gone
        if below:
            progress.step({"below": below, "done": done}, done)


def _top(store: Store, user: ObjectId, mailbox: ObjectId) -> int:
    """Above all that is there now; 0 where the mailbox is gone."""
    try:
        return int(store.mailboxes.get(user, mailbox)["uidNext"])
    except MailboxNotFound:
        return 0
