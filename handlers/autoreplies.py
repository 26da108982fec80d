"""Automatic answers while somebody is away."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from handlers.call import Answer, Body, Call
from mail.headers import read_date
from problems import InvalidInput
from storage.accounts.documents import Autoreply

_TEXTS = ("name", "subject", "text", "html")
_DATES = ("start", "end")


def get_autoreply(call: Call, user: ObjectId) -> Answer:
    """The automatic answer of an account; empty where nothing was set."""
    call.store.users.require(user)
    row = call.store.autoreplies.find(user) or {}
    return {
        "success": True,
        "status": bool(row.get("status")),
        **{name: row.get(name) or "" for name in _TEXTS},
        **{name: row.get(name) or False for name in _DATES},
        **({"created": _created(row)} if row else {}),
    }


def _created(row: Autoreply) -> datetime:
    """WildDuck stores it as text; for older documents it comes from their id."""
    created = row.get("created")
    known = created if isinstance(created, datetime) else read_date(str(created or ""))
    return known or row["_id"].generation_time


def update_autoreply(call: Call, user: ObjectId, body: Body) -> Answer:
    """Set what is given."""
    call.store.users.require(user)
    row, switched = call.store.autoreplies.put(user, body, _check)
    if switched is not None:
        _log(call, user, "autoreply enabled" if switched else "autoreply disabled")
    elif body:
        _log(call, user, "autoreply changed")
    return {"success": True, "id": row}


def _check(merged: Mapping[str, Any]) -> None:
    start, end = merged.get("start"), merged.get("end")
    if start and end and end < start:
        raise InvalidInput({"end": '"end" must not be before "start"'})


def delete_autoreply(call: Call, user: ObjectId) -> Answer:
    """Remove it and switch it off."""
    if call.store.autoreplies.delete(user):
        _log(call, user, "autoreply deleted")
    return {"success": True}


def _log(call: Call, user: ObjectId, action: str) -> None:
    call.log_event(user, action, result="success", protocol="API")
