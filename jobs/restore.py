"""`restore`: what was deleted in a span of time comes back, into a mailbox named after the day."""

from __future__ import annotations

import structlog
from bson import ObjectId

from jobs.progress import Progress
from problems import Problem
from storage.database import Document
from storage.store import Store

log = structlog.get_logger()

_AT_ONCE = 50


def restore_deleted(store: Store, data: Document, progress: Progress) -> None:
    """Batch by batch; what can not be restored stays in the archive and is passed over."""
    user = ObjectId(data["user"])
    failed: list[ObjectId] = [ObjectId(copy) for copy in progress.resume.get("failed", ())]
    done = int(progress.resume.get("done", 0))
    while copies := store.archive.between(user, data["start"], data["end"], failed, _AT_ONCE):
        place = _place(store, user)
        for copy in copies:
            try:
                done += store.messages.restore_all(user, [copy], place)
            except Problem as problem:
                log.warning("a message was not restored", message=str(copy), reason=problem.code)
                failed.append(copy)
        progress.step({"failed": failed, "done": done}, done, None)


def _place(store: Store, user: ObjectId) -> ObjectId:
    """The mailbox of today, made if it is not there; INBOX where no more can be made."""
    path = f"Restored ({store.clock():%Y-%m-%d})"
    try:
        return ObjectId(store.mailboxes.by_path(user, path)["_id"])
    except Problem:
        most = int(store.settings.get("const:max:mailboxes"))
    try:
        return store.mailboxes.create(user, path, {"retention": 0}, most)
    except Problem as problem:
        if problem.code == "MailboxExistsError":
            return ObjectId(store.mailboxes.by_path(user, path)["_id"])
        return ObjectId(store.mailboxes.by_path(user, "INBOX")["_id"])
