"""Searching messages of an account by text, headers, dates, sizes and flags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import structlog
from bson import ObjectId
from pymongo.errors import ExecutionTimeout

from storage.database import Document
from storage.messages_base import READ_MS, MessagesBase
from storage.messages_read import LISTED, LISTED_WITH_HEADERS, thread_stages
from storage.paging import DESCENDING, Order, Page, Paging, encode_cursor, read_page
from storage.search.places import SPAM_AND_TRASH, find_named
from storage.search.plan import Places

log = structlog.get_logger()

SEARCH_MS = 3000
_ROWS_AT_ONCE = 20


class SearchMessages(MessagesBase):
    """Searches; each is bounded in time."""

    _search_ms = SEARCH_MS

    def search(
        self,
        user: ObjectId,
        wanted: Document,
        paging: Paging,
        order: Order,
        *,
        collapse_threads: bool = False,
        with_headers: bool = False,
    ) -> tuple[Page, int]:
        """A page of what matches `wanted` (see `storage.search.plan`), and how much does.

        What is not found in time is left out: the page is then shorter, and where it has rows its cursor leads on.
        """
        projection = LISTED_WITH_HEADERS if with_headers else LISTED
        cut: list[bool] = []

        def read(condition: Document, sort: dict[str, int], limit: int) -> list[Document]:
            if collapse_threads:
                direction = order.direction
                stages = thread_stages(wanted, condition, sort, limit, direction, projection, order.key)
                rows, in_time = _in_time(
                    lambda: self._collection.aggregate(stages, maxTimeMS=self._search_ms)
                )
            else:
                both: Document = {"$and": [wanted, condition]} if condition else wanted
                rows, in_time = _in_time(lambda: self._found(both, sort, limit, projection))
            cut.append(not in_time)
            return rows

        page = read_page(read, paging, order)
        if any(cut):
            log.warning("a search was cut short", user=str(user), rows=len(page.rows))
            page = _leading_on(page, paging, order)
        return page, self._count(wanted, collapse_threads, least=len(page.rows))

    def _found(
        self, wanted: Document, sort: dict[str, int], limit: int, projection: Mapping[str, Any]
    ) -> Iterable[Document]:
        """Few at a time, so that there is something to show when the time is up."""
        rows = self._collection.find(
            wanted, projection, max_time_ms=self._search_ms, batch_size=_ROWS_AT_ONCE
        )
        return rows.sort(list(sort.items())).limit(limit)

    def _count(self, wanted: Document, collapse_threads: bool, least: int) -> int:
        """How much matches; where counting takes too long, what is known to match."""
        stages: list[Document] = [{"$match": wanted}]
        if collapse_threads:
            stages.append({"$group": {"_id": "$thread"}})
        stages.append({"$count": "n"})
        try:
            counted = self._collection.aggregate(stages, maxTimeMS=self._search_ms)
            return next((int(row["n"]) for row in counted), 0)
        except ExecutionTimeout:
            return least

    def matching(
        self, wanted: Document, after: ObjectId | None, until: ObjectId, most: int
    ) -> list[Document]:
        """`_id`, `mailbox` and `uid` of what matches, by `_id`, beyond `after` and not beyond `until`."""
        span = {"_id": {"$lte": until, **({"$gt": after} if after else {})}}
        rows = self._collection.find({"$and": [wanted, span]}, {"mailbox": 1, "uid": 1}, max_time_ms=READ_MS)
        return list(rows.sort("_id", 1).limit(most))

    def places(self, user: ObjectId) -> Places:
        """What a plan has to know of the account's mailboxes."""
        mailboxes = self._store.databases.main[self._mailboxes_name]
        rows = list(mailboxes.find({"user": user}, {"path": 1, "specialUse": 1}))
        skipped = [row["_id"] for row in rows if row.get("specialUse") in SPAM_AND_TRASH]
        return Places(skipped, lambda name: find_named(rows, name))


def _in_time(found: Callable[[], Iterable[Document]]) -> tuple[list[Document], bool]:
    """The rows that came in time, and whether these are all."""
    rows: list[Document] = []
    try:
        for row in found():
            rows.append(row)
    except ExecutionTimeout:
        return rows, False
    return rows, True


def _leading_on(page: Page, paging: Paging, order: Order) -> Page:
    """The page with a cursor to what there was no time for."""
    if not page.rows:
        return page
    if paging.backwards:
        previous = encode_cursor(order.position(page.rows[0]), max(page.page - 1, 0))
        return replace(page, previous_cursor=previous)
    return replace(page, next_cursor=encode_cursor(order.position(page.rows[-1]), page.page + 1))


def search_order(order: str | None) -> Order:
    """The sort of a search: by `_id`, newest first, unless `asc` or `desc` asks for the date."""
    if not order:
        return Order("_id", DESCENDING)
    return Order("idate", 1 if order == "asc" else DESCENDING)
