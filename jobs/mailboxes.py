"""`clear-folder` removes all messages of a mailbox; `mailbox-retention` dates them again when its retention changed."""

from __future__ import annotations

from bson import ObjectId

from jobs.progress import Progress, TaskData
from problems import MailboxNotFound
from storage.store import Store


def date_by_retention(store: Store, data: TaskData, progress: Progress) -> None:
    """Go up the UIDs, each batch by what the mailbox says then; from the start where that has changed meanwhile.

    Ends quietly when the mailbox is gone.
    """
    user, mailbox = ObjectId(data["user"]), ObjectId(data["mailbox"])
    while setting := store.mailboxes.retention(user, mailbox):
        counter, retention = setting
        resume = progress.resume if progress.resume.get("counter") == counter else {}
        last = store.expiry.date_by_retention(mailbox, resume.get("after", 0), retention)
        if not last:
            return
        progress.step({"counter": counter, "after": last})


def clear_mailbox(store: Store, data: TaskData, progress: Progress) -> None:
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
    """A UID above all that exist now; 0 if the mailbox is gone."""
    try:
        return int(store.mailboxes.get(user, mailbox)["uidNext"])
    except MailboxNotFound:
        return 0
