"""Filters: what happens to mail as it comes in."""

from __future__ import annotations

from collections.abc import Sequence

from bson import ObjectId

from handlers.call import Answer, Body, Call
from handlers.filters.answers import listed, of_all, single
from handlers.filters.inputs import changed_filter, new_filter
from storage.accounts.filters import new_targets
from storage.base.paging import Paging


def get_all_filters(
    call: Call, paging: Paging, forward: str | None = None, meta_data: bool = False
) -> Answer:
    """List filters of all accounts, in the order in which they were made."""
    filters = call.store.filters
    page, total = filters.page(call.own_only, forward, paging, meta_data=meta_data)
    paths = filters.mailbox_paths(page.rows)
    return page.answer([of_all(row, paths.get(row["_id"])) for row in page.rows], total=total)


def get_filters(call: Call, user: ObjectId, meta_data: bool = False) -> Answer:
    """All filters of an account, in the order in which they were made."""
    allowed = _allowed(call, user)
    rows = call.store.filters.of_user(user, meta_data=meta_data)
    paths = call.store.filters.mailbox_paths(rows)
    return {
        "success": True,
        "limits": {"allowed": allowed, "used": len(rows)},
        "results": [listed(row, paths.get(row["_id"])) for row in rows],
    }


def _allowed(call: Call, user: ObjectId) -> int:
    own = call.store.users.get(user, {"filters": 1}).get("filters")
    return int(own or call.store.settings.get("const:max:filters"))


def create_filter(call: Call, user: ObjectId, body: Body) -> Answer:
    """Make a filter."""
    allowed = _allowed(call, user)
    fields = new_filter(call, user, body)
    created = call.store.filters.create(user, fields, allowed)
    _log_forwards(call, user, created, new_targets({"action": {}}, fields))
    _log(call, user, "filter added", created)
    return {"success": True, "id": created}


def get_filter(call: Call, user: ObjectId, filter: ObjectId) -> Answer:
    """One filter, as an update takes it."""
    return {"success": True, **single(call.store.filters.get(user, filter))}


def update_filter(call: Call, user: ObjectId, filter: ObjectId, body: Body) -> Answer:
    """Change what is given of a filter."""
    before, fields = call.store.filters.update(
        user, filter, lambda found: changed_filter(call, user, found, body)
    )
    _log_forwards(call, user, filter, new_targets(before, fields))
    if body:
        _log(call, user, "filter changed", filter)
    return {"success": True, "id": filter}


def delete_filter(call: Call, user: ObjectId, filter: ObjectId) -> Answer:
    """Remove a filter."""
    call.store.filters.delete(user, filter)
    _log(call, user, "filter deleted", filter)
    return {"success": True}


def _log_forwards(call: Call, user: ObjectId, filter_id: ObjectId, targets: Sequence[str]) -> None:
    for target in targets:
        _log(call, user, "filter forward added", filter_id, target=target)


def _log(call: Call, user: ObjectId, action: str, filter_id: ObjectId, **fields: str) -> None:
    call.log_event(user, action, result="success", filter=filter_id, protocol="API", **fields)
