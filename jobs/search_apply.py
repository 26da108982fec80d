"""`search-apply`: flags, a move or a deletion for all that a search finds."""

from __future__ import annotations

import structlog
from bson import ObjectId

from jobs.progress import Progress, TaskData
from problems import Problem
from storage.messages.documents import Message
from storage.messages.uid_set import UidSet
from storage.search.condition import condition
from storage.store import Store

log = structlog.get_logger()

_AT_ONCE = 100
_IDS = ("mailbox", "thread")


def apply_to_found(store: Store, data: TaskData, progress: Progress) -> None:
    """Go up the ids of the messages that existed at the start; a move keeps them, so nothing is met twice."""
    user = ObjectId(data["user"])
    fields = {name: ObjectId(value) if name in _IDS and value else value for name, value in data.items()}
    wanted = condition(store.message_search.places(user), user, fields)
    state = {"until": ObjectId(), "after": None, "done": 0, "failed": 0, **progress.resume}
    while rows := store.message_search.matching(wanted, state["after"], state["until"], _AT_ONCE):
        for row in rows:
            done = _apply(store, user, row, data["action"])
            state["done" if done else "failed"] += 1
        state["after"] = rows[-1]["_id"]
        progress.step(dict(state), state["done"])


def _apply(store: Store, user: ObjectId, row: Message, action: TaskData) -> bool:
    """Return whether it could be done; a message that was removed or moved meanwhile does not hold up the others."""
    mailbox, uids = row["mailbox"], UidSet((row["uid"],))
    changes = {name: action[name] for name in ("seen", "flagged") if action.get(name) is not None}
    target = ObjectId(action["moveTo"]) if action.get("moveTo") else mailbox
    try:
        if action.get("delete"):
            store.removal.delete(user, mailbox, row["uid"])
        elif target != mailbox:
            store.message_changes.move(user, mailbox, target, uids, changes)
        elif changes:
            store.message_changes.update(user, mailbox, uids, changes)
    except Problem as problem:
        log.warning("a message was passed over", message=str(row["_id"]), reason=problem.code)
        return False
    return True
