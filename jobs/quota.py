"""`quota`: what every account uses, counted anew."""

from __future__ import annotations

from jobs.progress import Progress
from storage.base.database import Document
from storage.store import Store

_USERS_AT_ONCE = 100


def recount_all(store: Store, data: Document, progress: Progress) -> None:
    """Go through the accounts by id, some at a time."""
    after, done = progress.resume.get("after"), progress.resume.get("done", 0)
    while users := store.quota.page(after, _USERS_AT_ONCE):
        store.quota.recount(users)
        after, done = users[-1], done + len(users)
        total = max(store.quota.count_users(), done)
        progress.step({"after": after, "done": done}, done, total)
