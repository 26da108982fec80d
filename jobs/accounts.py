"""`user-delete` removes what a deleted account leaves; `quota` recounts what every account uses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bson import ObjectId

from jobs.progress import Progress, TaskData
from jobs.webhooks.delivery import end_hooks_of
from storage.mailboxes.retention import milliseconds
from storage.store import Store

_AT_ONCE = 500
_FILES_AT_ONCE = 20
_USERS_AT_ONCE = 100
_KEPT = timedelta(days=14)
_REPORTED = ("mailboxes", "asps", "filters", "autoreplies", "addressregister", "messages")


def delete_user(store: Store, data: TaskData, progress: Progress) -> None:
    """Remove what belongs to an account; its messages are left to the expiry job, which gives attachments back.

    An account that exists again was restored: then nothing is touched. The entry of the deleted account goes
    last, and with it the possibility of a restore, which is refused from the first step on.
    """
    user: ObjectId = data["user"]
    if store.users.exists(user):
        return
    steps = [*store.belongings.kinds, "files", "messages"]
    first = progress.resume.get("step", 0)
    gone: dict[str, int] = dict(progress.resume.get("gone", {}))
    for number in range(first, len(steps)):
        kind = steps[number]
        while count := _remove(store, kind, user):
            gone[kind] = gone.get(kind, 0) + count
            progress.step({"step": number, "gone": gone}, number, len(steps))
        progress.step({"step": number + 1, "gone": gone}, number + 1, len(steps))
    store.tokens.clear(user)
    removed = {kind: {"deleted": gone.get(kind, 0)} for kind in _REPORTED}
    store.deleted_users.remove(user, {**removed, "task": progress.task})
    end_hooks_of(store, user)


def _remove(store: Store, kind: str, user: ObjectId) -> int:
    """One bounded step; 0 when nothing is left of this kind."""
    special: dict[str, Callable[[], int]] = {
        "files": lambda: store.files.delete_some(user, _FILES_AT_ONCE),
        "messages": lambda: store.expiry.expire_user(user, milliseconds(store.clock() + _KEPT)),
    }
    if kind in special:
        return special[kind]()
    return store.belongings.delete_some(kind, user, _AT_ONCE)


def recount_all(store: Store, data: TaskData, progress: Progress) -> None:
    """Go through the accounts by id, some at a time."""
    after, done = progress.resume.get("after"), progress.resume.get("done", 0)
    while users := store.quota.page(after, _USERS_AT_ONCE):
        store.quota.recount(users)
        after, done = users[-1], done + len(users)
        total = max(store.quota.count_users(), done)
        progress.step({"after": after, "done": done}, done, total)
