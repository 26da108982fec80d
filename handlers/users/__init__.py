"""Users: accounts, their settings and limits."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from bson import ObjectId

from accounts.changes import AccountUpdate, update_account
from accounts.keys import key_facts
from accounts.passwords import check_existing_password, reset_password
from accounts.second_factors import demand_proof
from accounts.sign_up import sign_up
from delivery.welcome import greet
from handlers.answers import Stream
from handlers.call import Answer, Body, Call
from handlers.users.answers import account, deleted_account, listed
from handlers.users.inputs import new_account, password_hash, stored_input
from problems import UserNotFound
from storage.accounts.user_fields import listing_filter
from storage.base.paging import Paging
from updates.stream import CONTENT_TYPE, HEADERS, open_stream


def get_users(
    call: Call,
    paging: Paging,
    query: str | None = None,
    forward: str | None = None,
    tags: str | None = None,
    required_tags: str | None = None,
    meta_data: bool = False,
    internal_data: bool = False,
) -> Answer:
    """List accounts by id."""
    fields = {"query": query, "forward": forward, "tags": tags, "requiredTags": required_tags}
    data = [name for name, asked in (("metaData", meta_data), ("internalData", internal_data)) if asked]
    page, total = call.store.users.page(listing_filter(fields, call.own_only), paging, data)
    rows = [listed(call, user, data) for user in page.rows]
    return page.answer(rows, total=total, **({"query": query} if query else {}))


def create_user(call: Call, body: Body) -> Answer:
    """Make an account with its mailboxes and its first address, all of it or nothing."""
    user = sign_up(call, new_account(call, body))
    if user["address"] and call.rules.welcome_dir:
        greet(call.store, user, Path(call.rules.welcome_dir))
    return {"success": True, "id": user["_id"]}


def resolve_user(call: Call, username: str) -> Answer:
    """The id of the account with this user name."""
    return {"success": True, "id": call.store.users.id_of(username)}


def get_user(call: Call, user: ObjectId) -> Answer:
    """An account with its limits and what is used of them."""
    return account(call, call.store.users.summary(user))


def update_user(call: Call, user: ObjectId, body: Body) -> Answer:
    """Change what is given of an account."""
    before, existing = call.store.users.get(user), body.get("existingPassword")
    protocol = body.get("protocol", "API")
    check_existing_password(call, before, existing, protocol)
    fields = stored_input(body)
    keys = key_facts(fields)
    if body.get("disable2fa") and not (existing and before.get("password")):
        demand_proof(call)
    update = AccountUpdate(
        fields=fields,
        keys=keys,
        password=password_hash(call, body) if "password" in body else None,
        disable_2fa=bool(body.get("disable2fa")),
        protocol=protocol,
    )
    update_account(call, before, update)
    return {"success": True}


def get_updates(call: Call, user: ObjectId, last_event_id: ObjectId | None = None) -> Stream:
    """Follow the changes of an account, from an event on or from now on."""
    assert call.streams, "a process that serves this operation has streams"
    events = open_stream(
        call.store, call.streams, user, last_event_id, token=call.caller.record, disconnect=call.disconnect
    )
    return Stream(events.chunks(), CONTENT_TYPE, HEADERS, live=events, on_end=events.close)


def delete_user(call: Call, user: ObjectId, delete_after: datetime | Literal[False] | None = None) -> Answer:
    """Delete an account: at once for log-in and mail, its data by a job."""
    due = delete_after if delete_after and delete_after > call.now else None
    deletion = call.store.deleted_users.soft_delete(user, due)
    call.store.notices.log_out(user, "The account was deleted")
    call.log_event(user, "delete user", result="success")
    return {"success": True, "code": "TaskScheduled", **deletion.as_api(user)}


def restore_user_info(call: Call, user: ObjectId) -> Answer:
    """What a restore of a deleted account would bring back."""
    entry = call.store.deleted_users.get(user)
    return deleted_account(entry, call.store.deleted_users.free_addresses(entry))


def restore_user(call: Call, user: ObjectId, body: Body) -> Answer:
    """Bring a deleted account back, as long as the removal of its data has not begun."""
    restoration = call.store.deleted_users.restore(user)
    for address in restoration.addresses:
        call.store.addresses.remember_domain(address)
    call.log_event(user, "restore user", result="success")
    code = "TaskCancelled" if restoration.task else "RequestProcessed"
    return {"success": True, "code": code, **restoration.as_api(user)}


def recalculate_quota(call: Call, user: ObjectId) -> Answer:
    """Count again what an account uses."""
    counted = call.store.quota.recount([user]).get(user)
    if counted is None:
        raise UserNotFound
    return {"success": True, "storageUsed": counted.used, "previousStorageUsed": counted.previous}


def recalculate_quota_all_users(call: Call) -> Answer:
    """Have a job count again what all accounts use; several requests share one that has not begun."""
    return {"success": True, "task": call.store.tasks.ensure("quota", {"runCount": None}, {})}


def logout_user(call: Call, user: ObjectId, body: Body) -> Answer:
    """Close the IMAP sessions of an account; its access tokens stay."""
    call.store.users.require(user)
    call.store.notices.log_out(user, body.get("reason") or "Logout requested from API")
    return {"success": True}


def reset_user_password(call: Call, user: ObjectId, body: Body) -> Answer:
    """Give an account a temporary password and end its sessions."""
    password, begins = reset_password(call, user, body.get("validAfter"))
    return {"success": True, "password": password, "validAfter": begins}
