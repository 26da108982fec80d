"""Rows with a name of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from problems import NotFound
from storage.base.database import Document
from storage.base.listing import page_of
from storage.base.paging import Order, Page, Paging

_READ_MS = 3000


class Named:
    """Repository of rows with a name that no other has: read by id, by name and by page."""

    def __init__(
        self, collection: Collection[Document], name: str, missing: type[NotFound], shown: Mapping[str, Any]
    ) -> None:
        self._collection = collection
        self._missing = missing
        self._shown = shown
        self._order = Order(name, unique=True)

    def get(self, row_id: ObjectId) -> Document:
        """A row as it is shown. Raises the NotFound of its kind."""
        return self._one({"_id": row_id}, self._shown)

    def id_of(self, name: str) -> ObjectId:
        """The id of the row with this normalized name. Raises the NotFound of its kind."""
        return ObjectId(self._one({self._order.key: name}, {"_id": 1})["_id"])

    def _one(self, wanted: Document, fields: Mapping[str, Any]) -> Document:
        found = self._collection.find_one(wanted, fields, max_time_ms=_READ_MS)
        if not found:
            raise self._missing
        return found

    def _page(
        self, wanted: Document, fields: Mapping[str, Any], paging: Paging
    ) -> tuple[Page[Document], int]:
        return page_of(self._collection, wanted, fields, paging, self._order)
