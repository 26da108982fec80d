"""What a listing of addresses may ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId

from security.normalize import search_text, view
from storage.base.database import Condition
from storage.base.listing import common_conditions, literal
from storage.base.paging import Order

ORDER = Order("addrview")
_LISTED = ("name", "address", "addrview", "user", "targets.value", "forwardedDisabled", "tags")


def listed(more: Iterable[str]) -> dict[str, int]:
    """The projection of a listing."""
    return dict.fromkeys((*_LISTED, *more), 1)


def listing_filter(fields: Mapping[str, Any], own_only: ObjectId | None) -> Condition:
    """The condition of a listing by `query`, `forward`, `tags` and `requiredTags`, of one account or all."""
    conditions: list[Condition] = [{"user": own_only}] if own_only else []
    if query := fields.get("query"):
        conditions.append(_containing(search_text(query)))
    conditions += common_conditions(fields)
    return {"$and": conditions} if conditions else {}


def _containing(text: str) -> Condition:
    """Addresses with this text in them.

    The form without dots, which is indexed, decides which documents are read to look at the address itself.
    """
    dotless = {view(text), text} if "@" not in text else {view(text)}
    indexed = "|".join(literal(form) for form in sorted(dotless))
    return {"addrview": {"$regex": indexed}, "address": {"$regex": literal(text)}}
