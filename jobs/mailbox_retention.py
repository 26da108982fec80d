"""`mailbox-retention`: the messages of a mailbox are dated anew after its retention was changed."""

from __future__ import annotations

from bson import ObjectId

from jobs.progress import Progress
from storage.base.database import Document
from storage.store import Store


def date_anew(store: Store, data: Document, progress: Progress) -> None:
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
