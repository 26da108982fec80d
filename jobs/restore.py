"""`restore`: what was deleted in a span of time comes back, into a mailbox named after the day."""

from __future__ import annotations

from bson import ObjectId

from jobs.progress import Progress, Resume, TaskData
from problems import MailboxExists, MailboxNotFound, MailboxProtected
from storage.messages.archive import Position
from storage.store import Store

_AT_ONCE = 50
_RESTORED = {"et": "Taastatud"}


def restore_deleted(store: Store, data: TaskData, progress: Progress) -> None:
    """Batch by batch, in the order of deletion; what cannot be restored stays in the archive and is passed over.

    All goes into the mailbox of the day that the job began on, however often it is taken up again.
    """
    user = ObjectId(data["user"])
    if not store.users.exists(user):
        return
    state = {"after": None, "place": None, "done": 0, "failed": 0, **progress.resume}
    while found := store.archive.between(user, data["start"], data["end"], _position(state), _AT_ONCE):
        state["place"] = state["place"] or _place(store, user)
        restored, failed = store.restoring.restore_all(user, [copy for _, copy in found], state["place"])
        state.update(
            after=list(found[-1]), done=state["done"] + restored, failed=state["failed"] + len(failed)
        )
        progress.step(dict(state), state["done"])


def _position(state: Resume) -> Position | None:
    return (state["after"][0], state["after"][1]) if state["after"] else None


def _place(store: Store, user: ObjectId) -> ObjectId:
    """The mailbox of today, created if missing; INBOX if no more can be created."""
    path = f"{_word(store, user)} ({store.clock():%Y-%m-%d})"
    try:
        return ObjectId(store.mailboxes.by_path(user, path)["_id"])
    except MailboxNotFound:
        most = int(store.settings.get("const:max:mailboxes"))
    try:
        return store.mailboxes.create(user, path, {"retention": 0}, most)
    except MailboxExists:
        return ObjectId(store.mailboxes.by_path(user, path)["_id"])
    except MailboxProtected:
        return ObjectId(store.mailboxes.by_path(user, "INBOX")["_id"])


def _word(store: Store, user: ObjectId) -> str:
    """As WildDuck has it, which knows two languages here."""
    language = str(store.users.get(user, {"language": 1}).get("language") or "")
    return _RESTORED.get(language.lower().partition("_")[0], "Restored")
