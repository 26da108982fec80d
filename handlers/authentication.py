"""Authentication: log-in, access tokens, and the log of both."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from bson import ObjectId

from accounts.login import MASTER, TEMPORARY, Credentials, Login, log_in
from accounts.second_factors import TOTP
from accounts.second_step import Grant, grant
from handlers.call import Answer, Body, Call
from problems import InvalidInput
from storage.base.paging import Paging

_OF_OPERATORS = ("key",)


def authenticate(call: Call, body: Body) -> Answer:
    """Check a password and, on demand, issue a token."""
    with_token = bool(body.get("token"))
    if with_token and body["scope"] != MASTER:
        raise InvalidInput({"scope": '"scope" must be master when a token is asked for'})
    given = Credentials(
        body["username"], body["password"], body["scope"], body["protocol"], app_id=body.get("appId")
    )
    login = log_in(call, given)
    return {**_login(login), **_grant(login, grant(call, login, with_token=with_token))}


def _login(login: Login) -> Answer:
    account = login.account
    return {
        "success": True,
        "id": account["_id"],
        "username": account["username"],
        "address": account.get("address") or "",
        "scope": login.scope,
        "require2fa": login.required_factors or False,
        "require2faEnabled": bool(account.get("require2faEnabled")),
        "requirePasswordChange": login.source == TEMPORARY,
        **({"passwordPwned": True} if login.pwned else {}),
    }


def _grant(login: Login, granted: Grant) -> Answer:
    """A log-in that has its token needs no nonce; older clients know the nonce as `totpNonce`."""
    answer: Answer = {"token": granted.token} if granted.token else {}
    if granted.nonce and not granted.token:
        answer["twoFactorNonce"] = granted.nonce
    if granted.nonce and TOTP in login.required_factors:
        answer["totpNonce"] = granted.nonce
    return answer


def invalidate_access_token(call: Call) -> Answer:
    """End the session that the caller's token is; tokens of programs stay."""
    if call.caller.token:
        call.store.tokens.delete(call.caller.token)
    return {"success": True}


def get_authlog(
    call: Call,
    user: ObjectId,
    paging: Paging,
    action: str | None = None,
    filter_ip: str | None = None,
    filterip: str | None = None,
) -> Answer:
    """Entries of an account's log, newest first."""
    call.store.users.require(user)
    page, total = call.store.auth_log.page(user, action, filter_ip or filterip, paging)
    rows = [_entry(call, row) for row in page.rows]
    return page.answer(rows, **({"action": action} if action else {}), total=total)


def get_authlog_event(call: Call, user: ObjectId, event: ObjectId) -> Answer:
    """One entry of an account's log."""
    call.store.users.require(user)
    return {"success": True, **_entry(call, call.store.auth_log.get(user, event))}


def _entry(call: Call, row: Mapping[str, object]) -> Answer:
    """An entry with all that is stored of it; the account's own user does not see what only operators need."""
    hidden = _OF_OPERATORS if call.caller.role == "user" else ()
    fields = {name: _plain(value) for name, value in row.items() if name != "_id" and name not in hidden}
    return {"id": row["_id"], "result": None, **fields}


def _plain(value: object) -> object:
    """Bytes as base64, also nested ones."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return value
