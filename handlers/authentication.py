"""Authentication: log-in and access tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bson import ObjectId

from handlers.answers import enabled_2fa
from handlers.call import Call
from handlers.second_factor import after_password
from handlers.users_input import password_matches
from problems import InvalidInput, Problem
from security.passwords import DUMMY_HASH, hash_password, needs_rehash
from storage.database import Document

_FAILURES, _WINDOW = 12, 120
_TEMPORARY = timedelta(hours=24)
_MASTER = "master"


def authenticate(call: Call, body: Document) -> Document:
    """Check a password and, on demand, issue a token."""
    if body.get("token") and body["scope"] != _MASTER:
        raise InvalidInput({"scope": '"scope" must be master when a token is asked for'})
    user = _find(call, body["username"])
    key = f"auth_user:{user['_id'] if user else body['username'].lower()}"
    _count_attempt(call, key)
    if user is None:
        call.offload(password_matches, body["password"], DUMMY_HASH)
        raise Problem("AuthFailed")
    source = _check(call, user, body)
    call.store.counters.reset([key])
    return _answer(call, user, body, source)


def _find(call: Call, name: str) -> Document | None:
    """By user name, or by an address of the account; wildcards and forwarded addresses log nobody in."""
    store = call.store
    if "@" in name and (address := store.addresses.resolve(name)):
        return store.users.get(address["user"]) if address.get("user") else None
    return store.users.by_username(name)


def _count_attempt(call: Call, key: str) -> None:
    """An attempt is counted before the password is looked at, so that a burst can not pass the limit together."""
    if not call.store.counters.add(key, 1, _FAILURES, _WINDOW).allowed:
        raise Problem("RateLimitedError")


def _check(call: Call, user: Document, body: Document) -> str:
    """Which password matched, `master` or `temporary`. Raises Problem, after logging what happened."""
    scope = body["scope"]
    for state in ("disabled", "suspended"):
        if user.get(state):
            _log(call, user, body, state)
            raise Problem("AuthFailed", id=user["_id"])
    if scope in (user.get("disabledScopes") or ()):
        _log(call, user, body, None)
        raise Problem("InvalidAuthScope", "Access to requested service disabled")
    source = _matching_password(call, user, body["password"])
    if source is None:
        _log(call, user, body, "fail", source=_MASTER)
        raise Problem("AuthFailed", id=user["_id"])
    if scope != _MASTER and (source == "temporary" or enabled_2fa(user)):
        _log(call, user, body, "fail", source=source)
        raise Problem("InvalidAuthScope")
    return source


def _matching_password(call: Call, user: Document, password: str) -> str | None:
    temporary = user.get("tempPassword") or {}
    runs = temporary and call.now - max(temporary["created"], temporary["validAfter"]) < _TEMPORARY
    if runs and call.offload(password_matches, password, temporary["password"]):
        if temporary["validAfter"] > call.now:
            raise Problem("TempPasswordNotYetValid")
        return "temporary"
    stored = user.get("password") or ""
    if not stored or not call.offload(password_matches, password, stored):
        return None
    if needs_rehash(stored, call.password_scheme):
        better = call.offload(hash_password, password, call.password_scheme)
        call.store.users.replace_hash(user["_id"], stored, better)
    return _MASTER


def _log(call: Call, user: Document, body: Document, result: str | None, **fields: Any) -> ObjectId | None:
    if body.get("appId"):
        fields["appId"] = body["appId"]
    return call.log_event(
        user["_id"],
        "authentication",
        result=result,
        protocol=body["protocol"],
        requiredScope=body["scope"],
        **fields,
    )


def _answer(call: Call, user: Document, body: Document, source: str) -> Document:
    methods = [] if source == "temporary" else enabled_2fa(user)
    more = {"require2fa": ",".join(methods)} if methods else {}
    event = _log(call, user, body, "success", source=source, **more)
    call.store.users.note_login(user["_id"], event, call.ip)
    answer: Document = {
        "success": True,
        "id": user["_id"],
        "username": user["username"],
        "address": user.get("address") or "",
        "scope": body["scope"],
        "require2fa": methods or False,
        "require2faEnabled": bool(user.get("require2faEnabled")),
        "requirePasswordChange": source == "temporary",
    }
    if user.get("passwordPwned"):
        answer["passwordPwned"] = True
    return {**answer, **after_password(call, user, methods, token=bool(body.get("token")))}


def invalidate_access_token(call: Call) -> Document:
    """End the session that the caller's token is; tokens of programs stay."""
    if call.caller.token:
        call.store.tokens.delete(call.caller.token)
    return {"success": True}
