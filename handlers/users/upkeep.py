"""What operators do to accounts now and then: counting anew, ending sessions, temporary passwords."""

from __future__ import annotations

from bson import ObjectId

from handlers.call import Call
from problems import UserNotFound
from security.passwords import hash_password, temporary_password
from storage.base.database import Document


def recalculate_quota(call: Call, user: ObjectId) -> Document:
    """Count what an account uses anew."""
    counted = call.store.quota.recount([user]).get(user)
    if counted is None:
        raise UserNotFound
    return {"success": True, "storageUsed": counted.used, "previousStorageUsed": counted.previous}


def recalculate_quota_all_users(call: Call) -> Document:
    """Have a job count what all accounts use anew; one that has not begun is enough for several requests."""
    return {"success": True, "task": call.store.tasks.ensure("quota", {"runCount": None}, {})}


def logout_user(call: Call, user: ObjectId, body: Document) -> Document:
    """Close the IMAP sessions of an account; its access tokens stay."""
    call.store.users.require(user)
    call.store.notices.log_out(user, body.get("reason") or "Logout requested from API")
    return {"success": True}


def reset_user_password(call: Call, user: ObjectId, body: Document) -> Document:
    """Give an account a temporary password and end its sessions."""
    call.store.users.require(user)
    password = temporary_password()
    hashed = call.offload(hash_password, password, call.rules.password_scheme)
    now = call.now
    valid_after = body.get("validAfter") or now
    temporary = {"validAfter": valid_after, "password": hashed, "created": max(now, valid_after)}
    call.store.users.update(
        user,
        {},
        more={"tempPassword": temporary},
        unset=("lastPwnedCheck", "passwordPwned"),
        increase={"authVersion": 1},
    )
    call.store.notices.log_out(user, "Authentication required")
    call.log_event(user, "reset")
    return {"success": True, "password": password, "validAfter": valid_after}
