"""Listings: a page of a collection with the count of all, and what accounts and addresses may be listed by alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from bson import ObjectId
from pymongo.collection import Collection

from problems import NotFound
from security.normalize import tag_list
from storage.base.database import Condition, Projection
from storage.base.paging import Order, Page, Paging, read_page

_READ_MS = 3000

Row = TypeVar("Row", bound=Mapping[str, Any])
Hint = str | list[tuple[str, int]] | None


def page_of(
    collection: Collection[Row],
    condition: Condition,
    fields: Projection,
    paging: Paging,
    order: Order,
    *,
    hint: Hint = None,
    limit_ms: int = _READ_MS,
) -> tuple[Page[Row], int]:
    """Return a page of the rows that fulfil `condition`, and how many there are, estimated for a whole collection."""
    total = _count(collection, condition, hint, limit_ms)

    def read(beside: Condition, sort: dict[str, int], limit: int) -> list[Row]:
        # Both may ask for the same field, and neither may replace the other.
        both = {"$and": [condition, beside]}
        return list(collection.find(both, fields, hint=hint, max_time_ms=limit_ms).sort(sort).limit(limit))

    return read_page(read, paging, order), total


def _count(collection: Collection[Row], condition: Condition, hint: Hint, limit_ms: int) -> int:
    if not condition:
        return collection.estimated_document_count(maxTimeMS=limit_ms)
    if hint:
        return collection.count_documents(condition, maxTimeMS=limit_ms, hint=hint)
    return collection.count_documents(condition, maxTimeMS=limit_ms)


def common_conditions(fields: Mapping[str, Any]) -> Iterator[Condition]:
    """The conditions of `forward`, `tags` (one of them) and `requiredTags` (all of them)."""
    if forward := fields.get("forward"):
        yield {"targets.value": {"$regex": literal(forward), "$options": "i"}}
    required = tag_list(fields.get("requiredTags") or "")
    some = [tag for tag in tag_list(fields.get("tags") or "") if tag not in required]
    if required:
        yield {"tagsview": {"$all": required}}
    if some:
        yield {"tagsview": {"$in": some}}


def literal(text: str) -> str:
    """A pattern for the text itself; the database takes NUL in a pattern only in its escaped form."""
    return re.escape(text).replace("\0", r"\x00")


class Named(Generic[Row]):
    """Repository of rows with a name that no other has: read by id, by name and by page."""

    def __init__(
        self, collection: Collection[Row], name: str, missing: type[NotFound], shown: Projection
    ) -> None:
        self._collection = collection
        self._missing = missing
        self._shown = shown
        self._order = Order(name, unique=True)

    def get(self, row_id: ObjectId) -> Row:
        """A row as it is shown. Raises the NotFound of its kind."""
        return self._one({"_id": row_id}, self._shown)

    def id_of(self, name: str) -> ObjectId:
        """The id of the row with this normalized name. Raises the NotFound of its kind."""
        return ObjectId(self._one({self._order.key: name}, {"_id": 1})["_id"])

    def _one(self, wanted: Condition, fields: Mapping[str, Any]) -> Row:
        found = self._collection.find_one(wanted, fields, max_time_ms=_READ_MS)
        if not found:
            raise self._missing
        return found

    def _page(self, wanted: Condition, fields: Projection, paging: Paging) -> tuple[Page[Row], int]:
        return page_of(self._collection, wanted, fields, paging, self._order)
