"""Application passwords: for mail programs, instead of the account's own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from bson import ObjectId

from accounts.profile_signing import profile_signer
from handlers.call import Answer, Body, Call
from problems import AddressNotFound, InvalidInput, InvalidProfileScope
from security.asps import ALL, is_weak, new_asp, selector, shown_scopes, stored_scopes
from security.passwords import hash_password
from security.profile import Account, build, sign
from storage.accounts.documents import Asp, User
from storage.addresses.documents import Address

_PROFILE = "generateMobileconfig"


def get_asps(call: Call, user: ObjectId, show_all: bool = False) -> Answer:
    """All of an account, oldest first; those that end by themselves only with `show_all`."""
    call.store.users.require(user)
    rows = call.store.asps.of_user(user, temporary=show_all)
    return {"success": True, "results": [_row(asp) for asp in rows]}


def get_asp(call: Call, user: ObjectId, asp: ObjectId) -> Answer:
    """What is known of one; the password itself is not."""
    return {"success": True, **_row(call.store.asps.get(user, asp))}


def _row(asp: Asp) -> Answer:
    return {
        "id": asp["_id"],
        "description": asp["description"],
        "scopes": shown_scopes(asp["scopes"]),
        "lastUse": {"time": asp.get("used") or False, "event": asp.get("authEvent") or False},
        "created": asp["created"],
        **({"expires": asp["expires"]} if asp.get("expires") else {}),
    }


def create_asp(call: Call, user: ObjectId, body: Body) -> Answer:
    """Make one. A profile is signed first, so that no password is stored that nobody gets to see."""
    scopes = stored_scopes(body.get("scopes") or [ALL])
    _check(body, scopes)
    account = call.store.users.get(user, {"name": 1, "address": 1})
    sender = _sender(call, account, body.get("address"))
    password = body.get("password") or new_asp()
    more = _profile(call, account, sender, body, scopes, password) if body.get(_PROFILE) else {}
    asp = _store(call, user, body, scopes, password)
    return {"success": True, "id": asp, "password": password, **more}


def _check(body: Body, scopes: Sequence[str]) -> None:
    if body.get("password") and is_weak(body["password"]):
        raise InvalidInput({"password": '"password" is made of too few different letters'})
    if body.get(_PROFILE) and scopes != [ALL] and not ("smtp" in scopes and len(scopes) > 1):
        raise InvalidProfileScope


def _sender(call: Call, account: User, address: str | None) -> User | Address:
    """`{name, address}` of what a profile sets up: the given address of the account, or its main one."""
    if not address:
        return account
    found = call.store.addresses.owned(account["_id"], address)
    if not found:
        raise AddressNotFound("Invalid or unknown address")
    return {"address": found["address"], "name": found.get("name") or account.get("name")}


def _profile(
    call: Call, account: User, sender: User | Address, body: Body, scopes: Sequence[str], password: str
) -> Answer:
    shown = {"name": sender.get("name") or "", "address": sender.get("address") or ""}
    if not shown["address"]:
        raise AddressNotFound("The account has no address that a profile could set up")
    data = build(
        call.rules.profile,
        Account(str(account["_id"]), **shown, password=password),
        scopes,
        body["description"],
    )
    signed = call.offload(sign, data, profile_signer(call))
    return {**shown, "mobileconfig": b64encode(signed).decode()}


def _store(call: Call, user: ObjectId, body: Body, scopes: Sequence[str], password: str) -> ObjectId:
    fields = {
        "description": body["description"],
        "scopes": list(scopes),
        "password": call.offload(hash_password, password, call.rules.password_scheme),
        "selector": selector(password),
    }
    most = call.store.settings.get("const:asp:limit")
    asp = call.store.asps.create(user, fields, body.get("ttl"), most)
    labels = {"asp": asp, "aname": body["description"], "temporary": bool(body.get("ttl"))}
    call.log_event(user, "create asp", result="success", protocol=body.get("protocol", "API"), **labels)
    return asp


def delete_asp(call: Call, user: ObjectId, asp: ObjectId, protocol: str = "API") -> Answer:
    """Take one away; programs that use it cannot log in any more."""
    call.store.asps.get(user, asp)
    deleted = call.store.asps.delete(user, asp)
    if deleted:
        labels = {"asp": asp, "aname": deleted["description"]}
        call.log_event(user, "delete asp", result="success", protocol=protocol, **labels)
    return {"success": True}
