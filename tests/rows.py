"""How tests see stored rows and answers: they look into any field, also those that no type promises."""

from __future__ import annotations

from typing import Any, TypeAlias

from bson import ObjectId

from storage.accounts.user_fields import stored_fields
from storage.store import Store

Row: TypeAlias = Any


def change_user(
    store: Store,
    user: ObjectId,
    fields: Row,
    *,
    more: Row = None,
    unset: tuple[str, ...] = (),
    increase: Row = None,
) -> None:
    """Change an account's row, also to what no operation would store; `more` are fields as they are on disk."""
    change = {
        "$set": {**stored_fields(fields), **(more or {})},
        "$unset": dict.fromkeys(unset, ""),
        "$inc": increase,
    }
    given = {operator: values for operator, values in change.items() if values}
    assert store.databases.users["users"].update_one({"_id": user}, given).matched_count
