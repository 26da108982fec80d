"""Users: accounts, their settings and limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bson import ObjectId

from delivery.welcome import greet
from handlers.answer import Stream
from handlers.call import Call
from handlers.second_factor import demand_proof
from handlers.users.answers import account, listed
from handlers.users.deletion import delete_user as delete_user
from handlers.users.deletion import restore_user as restore_user
from handlers.users.deletion import restore_user_info as restore_user_info
from handlers.users.inputs import (
    check_existing_password,
    checked_keys,
    checked_names,
    first_address,
    password_hash,
    stored_input,
)
from handlers.users.upkeep import logout_user as logout_user
from handlers.users.upkeep import recalculate_quota as recalculate_quota
from handlers.users.upkeep import recalculate_quota_all_users as recalculate_quota_all_users
from handlers.users.upkeep import reset_user_password as reset_user_password
from problems import AddressExists, InvalidInput, UserExists
from security.targets import without_password
from storage.accounts.documents import User
from storage.accounts.second_factors import NO_SECOND_FACTORS
from storage.accounts.user_fields import listing_filter
from storage.accounts.users import COUNTER_OF
from storage.base.database import Document
from storage.base.paging import Paging
from updates.stream import open_stream

_NOT_STORED = frozenset(
    {
        "username", "password", "hashedPassword", "allowUnsafe", "address", "emptyAddress", "requirePasswordChange",
        "addTagsToAddress", "mailboxes", "existingPassword", "disable2fa", "protocol", "sess", "ip",
    }
)  # fmt: skip


def get_users(
    call: Call,
    paging: Paging,
    query: str | None = None,
    forward: str | None = None,
    tags: str | None = None,
    required_tags: str | None = None,
    meta_data: bool = False,
    internal_data: bool = False,
) -> Document:
    """List accounts by id."""
    fields = {"query": query, "forward": forward, "tags": tags, "requiredTags": required_tags}
    data = [name for name, wanted in (("metaData", meta_data), ("internalData", internal_data)) if wanted]
    page, total = call.store.users.page(listing_filter(fields, call.own_only), paging, data)
    rows = [listed(call, user, data) for user in page.rows]
    return page.answer(rows, total=total, **({"query": query} if query else {}))


def create_user(call: Call, body: Document) -> Document:
    """Make an account with its mailboxes and its first address, all of it or nothing."""
    names = checked_names(body.get("mailboxes") or {}, body.get("language"))
    address = first_address(call, body)
    fields = stored_input(body, leave_out=_NOT_STORED)
    if fields.get("pubKey") and fields.get("smimeCerts"):
        raise InvalidInput({"smimeCerts": "An account has a PGP key or S/MIME certificates, not both"})
    fields.update(_dotted(checked_keys(fields)))
    fields.update(_first_password(call, body))
    fields["address"] = address
    user = _insert_whole(call, body, fields, names)
    _note_creation(call, user, body)
    return {"success": True, "id": user["_id"]}


def _first_password(call: Call, body: Document) -> Document:
    """With `requirePasswordChange` the password is a temporary one."""
    hashed = password_hash(call, body)
    if not body.get("requirePasswordChange") or not hashed:
        return {"password": hashed}
    return {"tempPassword": {"validAfter": call.now, "password": hashed, "created": call.now}}


def _dotted(fields: Document) -> Document:
    """Fields of `mallard.` as one object, for an insert."""
    own = {name.partition(".")[2]: value for name, value in fields.items() if name.startswith("mallard.")}
    rest = {name: value for name, value in fields.items() if not name.startswith("mallard.")}
    return {**rest, **({"mallard": own} if own else {})}


def _insert_whole(call: Call, body: Document, fields: Document, names: Document) -> User:
    """Clients that make many accounts at once are told whose name or address is taken."""
    try:
        return call.store.transactions.run(lambda session: _insert(call, body, fields, names, session))
    except (AddressExists, UserExists) as problem:
        raise problem.about(username=body["username"]) from problem


def _insert(call: Call, body: Document, fields: Document, names: Document, session: Any) -> User:
    store = call.store
    user = store.users.create(body["username"], fields, session=session)
    if fields["address"]:
        _insert_address(call, body, user, session)
    retention = fields.get("retention") or 0
    store.mailboxes.create_defaults(user["_id"], body.get("language"), names, retention, session=session)
    about = {"username": user["username"], "name": user["name"], "address": user["address"]}
    store.events.emit("user.created", user=user["_id"], session=session, **about)
    _tell_targets(call, user["_id"], body.get("targets") or (), session)
    return user


def _insert_address(call: Call, body: Document, user: User, session: Any) -> None:
    """Both names are claimed before mailboxes are made, so that without transactions one step takes all back."""
    tags = {"tags": user["tags"]} if body.get("addTagsToAddress") and user.get("tags") else {}
    try:
        call.store.addresses.create(user["_id"], user["address"], tags, session=session)
    except AddressExists:
        if session is None:
            call.store.users.discard(user["_id"])
        raise


def _note_creation(call: Call, user: User, body: Document) -> None:
    if user["address"]:
        call.store.addresses.remember_domain(user["address"])
        if call.rules.welcome_dir:
            greet(call.store, user, Path(call.rules.welcome_dir))
    call.log_event(user["_id"], "account created", result="success")
    _note_targets(call, user["_id"], body.get("targets") or ())


def _note_targets(call: Call, user: ObjectId, targets: Sequence[str]) -> None:
    for target in targets:
        call.log_event(user, "user forward added", result="success", target=target, protocol="API")


def resolve_user(call: Call, username: str) -> Document:
    """The id of the account with this user name."""
    return {"success": True, "id": call.store.users.id_of(username)}


def get_user(call: Call, user: ObjectId) -> Document:
    """An account with its limits and what is used of them."""
    return account(call, call.store.users.summary(user))


def update_user(call: Call, user: ObjectId, body: Document) -> Document:
    """Change what is given of an account."""
    before = call.store.users.get(user)
    check_existing_password(call, before, body)
    fields = stored_input(body, leave_out=_NOT_STORED)
    more = checked_keys(fields)
    if body.get("disable2fa"):
        if not (body.get("existingPassword") and before.get("password")):
            demand_proof(call)
        more.update(NO_SECOND_FACTORS)
    change = _password_change(call, before, body)
    revoking = "password" in body or body.get("suspended") or body.get("disabled")
    targets = _new_targets(before, body)

    def steps(session: Any) -> None:
        call.store.users.update(
            user,
            fields,
            more={**more, **change.get("set", {})},
            unset=change.get("unset", ()),
            push=change.get("push"),
            increase={"authVersion": 1} if revoking else None,
            session=session,
        )
        _tell_update(call, user, body, targets, session)

    call.store.events.run(user, steps)
    if revoking:
        call.store.notices.log_out(user, "Authentication required")
    _after_update(call, before, body, fields)
    _note_targets(call, user, targets)
    return {"success": True}


def _tell_update(call: Call, user: ObjectId, body: Document, targets: Sequence[str], session: Any) -> None:
    events = call.store.events
    if "password" in body:
        events.emit("user.password.changed", user=user, session=session)
    if body.get("disable2fa"):
        events.emit("mfa.disabled", user=user, session=session)
    _tell_targets(call, user, targets, session)


def _tell_targets(call: Call, user: ObjectId, targets: Sequence[str], session: Any) -> None:
    told = [{"type": "user", "target": without_password(target)} for target in targets]
    call.store.events.emit_all("forward added", user, told, session)


def _new_targets(before: User, body: Document) -> list[str]:
    known = {target["value"] for target in before.get("targets") or ()}
    return [target for target in body.get("targets") or () if target not in known]


def get_updates(call: Call, user: ObjectId, last_event_id: ObjectId | None = None) -> Stream:
    """Follow the changes of an account, from an event on or from now on."""
    return open_stream(call, user, last_event_id)


def _password_change(call: Call, user: User, body: Document) -> Document:
    if "password" not in body:
        return {}
    hashed = password_hash(call, body)
    change: Document = {
        "set": {
            "password": hashed,
            "tempPassword": False,
            "passwordChange": call.now,
            "requirePasswordChange": False,
        },
        "unset": ("lastPwnedCheck", "passwordPwned"),
    }
    if hashed and user.get("password"):
        change["push"] = {
            "oldPasswords": {"$each": [{"date": call.now, "hash": user["password"]}], "$slice": -20}
        }
    return change


def _after_update(call: Call, before: User, body: Document, fields: Document) -> None:
    user = before["_id"]
    changed = [name for name in COUNTER_OF if name in fields and fields[name] != before.get(name)]
    if changed:
        call.store.counters.reset(f"{COUNTER_OF[name]}:{user}" for name in changed)
    if "password" in body:
        call.log_event(user, "password change", result="success", protocol=body.get("protocol", "API"))
        call.keep_session(user)
    if body.get("disable2fa"):
        call.log_event(user, "disable 2fa", role=call.caller.role)
