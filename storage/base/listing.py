"""Listings: a page of a collection with the count of all, and what accounts and addresses may be listed by alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.collection import Collection

from security.normalise import tag_list
from storage.base.database import Document
from storage.base.paging import Order, Page, Paging, read_page
from storage.base.patterns import literal

_READ_MS = 3000

Hint = str | list[tuple[str, int]] | None


def page_of(
    collection: Collection[Document],
    wanted: Document,
    fields: Mapping[str, Any],
    paging: Paging,
    order: Order,
    *,
    hint: Hint = None,
    most_ms: int = _READ_MS,
) -> tuple[Page, int]:
    """A page of what is wanted, and how many there are; of a whole collection about how many."""

    total = _count(collection, wanted, hint, most_ms)

    def read(condition: Document, sort: dict[str, int], limit: int) -> list[Document]:
        # Both may ask for the same field, and neither may replace the other.
        both = {"$and": [wanted, condition]}
        return list(collection.find(both, fields, hint=hint, max_time_ms=most_ms).sort(sort).limit(limit))

    return read_page(read, paging, order), total


def _count(collection: Collection[Document], wanted: Document, hint: Hint, most_ms: int) -> int:
    if not wanted:
        return collection.estimated_document_count(maxTimeMS=most_ms)
    options: Document = {"hint": hint} if hint else {}
    return collection.count_documents(wanted, maxTimeMS=most_ms, **options)


def common_conditions(fields: Mapping[str, Any]) -> Iterator[Document]:
    """The conditions of `forward`, `tags` (one of them) and `requiredTags` (all of them)."""
    if forward := fields.get("forward"):
        yield {"targets.value": {"$regex": literal(forward), "$options": "i"}}
    required = tag_list(fields.get("requiredTags") or "")
    some = [tag for tag in tag_list(fields.get("tags") or "") if tag not in required]
    if required:
        yield {"tagsview": {"$all": required}}
    if some:
        yield {"tagsview": {"$in": some}}
