"""Deleting accounts, and bringing them back."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from bson import ObjectId

from handlers.call import Call
from storage.base.database import Document


def delete_user(
    call: Call, user: ObjectId, delete_after: datetime | Literal[False] | None = None
) -> Document:
    """Delete an account: at once for log-in and mail, its data by a job."""
    due = delete_after if delete_after and delete_after > call.now else None
    burial = call.store.deleted_users.soft_delete(user, due)
    call.store.notices.log_out(user, "The account was deleted")
    call.log_event(user, "delete user", result="success")
    return {"success": True, "code": "TaskScheduled", **burial.shown(user)}


def restore_user_info(call: Call, user: ObjectId) -> Document:
    """What a restore of a deleted account would bring back."""
    entry = call.store.deleted_users.get(user)
    free = call.store.deleted_users.free_addresses(entry)
    return {
        "success": True,
        "user": user,
        "username": entry["username"],
        "storageUsed": max(entry.get("storageUsed") or 0, 0),
        "tags": entry.get("tags") or [],
        "deleted": entry["deleteInfo"]["deletedAt"],
        "recoverableAddresses": [row["address"] for row in free],
    }


def restore_user(call: Call, user: ObjectId, body: Document) -> Document:
    """Bring a deleted account back, as long as the removal of its data has not begun."""
    revival = call.store.deleted_users.restore(user)
    for address in revival.addresses:
        call.store.addresses.remember_domain(address)
    call.log_event(user, "restore user", result="success")
    code = "TaskCancelled" if revival.task else "RequestProcessed"
    return {"success": True, "code": code, **revival.shown(user)}
