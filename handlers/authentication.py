"""Authentication: log-in, access tokens, and the log of both."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from handlers.answers import enabled_2fa
from handlers.authentication_breach import check_breach
from handlers.authentication_check import (
    ASP,
    MASTER,
    TEMPORARY,
    asp_fields,
    find_account,
    log_login,
    match_asp,
    match_password,
    refuse_shut,
    refuse_unknown,
    required_2fa,
)
from handlers.authentication_limits import begin_anew, ip_limit, limited
from handlers.call import Call
from handlers.second_factor import after_password
from problems import InvalidInput
from security.asps import opens
from storage.accounts.documents import User
from storage.base.database import Document
from storage.base.paging import Paging

_OF_OPERATORS = ("key",)


def authenticate(call: Call, body: Document) -> Document:
    """Check a password and, on demand, issue a token."""
    if body.get("token") and body["scope"] != MASTER:
        raise InvalidInput({"scope": '"scope" must be master when a token is asked for'})
    user = find_account(call, body["username"])
    if user:
        refuse_shut(call, user, body)
    with limited(call, ip_limit(call)):
        if user is None:
            refuse_unknown(call, body)
        asp = match_asp(call, user, body)
        by_asp = asp is not None and opens(asp["scopes"], body["scope"])
        source = ASP if by_asp else match_password(call, user, body, other=asp)
    if asp and by_asp:
        _note_asp(call, user, body, asp)
    else:
        _note_password(call, user, body, source)
    return _answer(call, user, body, source)


def _note_password(call: Call, user: User, body: Document, source: str) -> None:
    begin_anew(call, user["_id"])
    check_breach(call, user, body, source)
    event = log_login(call, user, body, "success", source=source, **required_2fa(user, source))
    call.store.users.note_login(user["_id"], event, call.ip)


def _note_asp(call: Call, user: User, body: Document, asp: Document) -> None:
    event = log_login(call, user, body, "success", **asp_fields(asp))
    call.store.asps.note_use(asp, event, call.ip)


def _answer(call: Call, user: User, body: Document, source: str) -> Document:
    methods = enabled_2fa(user) if source == MASTER else []
    answer: Document = {
        "success": True,
        "id": user["_id"],
        "username": user["username"],
        "address": user.get("address") or "",
        "scope": body["scope"],
        "require2fa": methods or False,
        "require2faEnabled": bool(user.get("require2faEnabled")),
        "requirePasswordChange": source == TEMPORARY,
    }
    if user.get("passwordPwned"):
        answer["passwordPwned"] = True
    return {**answer, **after_password(call, user, methods, token=bool(body.get("token")))}


def invalidate_access_token(call: Call) -> Document:
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
) -> Document:
    """Entries of an account's log, newest first."""
    call.store.users.require(user)
    page, total = call.store.auth_log.page(user, action, filter_ip or filterip, paging)
    rows = [_event(call, row) for row in page.rows]
    return page.answer(rows, **({"action": action} if action else {}), total=total)


def get_authlog_event(call: Call, user: ObjectId, event: ObjectId) -> Document:
    """One entry of an account's log."""
    call.store.users.require(user)
    return {"success": True, **_event(call, call.store.auth_log.get(user, event))}


def _event(call: Call, row: Document) -> Document:
    """An entry with all that is stored of it; the account's own user is spared what only operators need."""
    hidden = _OF_OPERATORS if call.caller.role == "user" else ()
    fields = {name: _plain(value) for name, value in row.items() if name != "_id" and name not in hidden}
    return {"id": row["_id"], "result": None, **fields}


def _plain(value: Any) -> Any:
    """Bytes as base64, also those within."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return value
