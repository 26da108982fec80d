"""Searching messages of an account by text, headers, dates, sizes and flags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import structlog
from bson import ObjectId
from pymongo.errors import ExecutionTimeout

from storage.database import Document
from storage.messages_base import MessagesBase
from storage.messages_read import LISTED, LISTED_WITH_HEADERS, thread_stages
from storage.paging import DESCENDING, Order, Page, Paging, encode_cursor, read_page
from storage.uidset import UidSet

log = structlog.get_logger()

SEARCH_MS = 3000
_ROWS_AT_ONCE = 20
_HEADERS = {"from": ("from",), "to": ("to", "cc"), "subject": ("subject",)}
_SPAM_AND_TRASH = ("\\Junk", "\\Trash")


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
        """A page of what matches `wanted` (see `search_filter`), and how much does.

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

    def spam_and_trash(self, user: ObjectId) -> list[ObjectId]:
        """The mailboxes that a search for `searchable` messages passes over."""
        mailboxes = self._store.databases.main[self._mailboxes_name]
        rows = mailboxes.find({"user": user, "specialUse": {"$in": list(_SPAM_AND_TRASH)}}, {"_id": 1})
        return [row["_id"] for row in rows]


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


def search_filter(user: ObjectId, fields: Document, passed_over: list[ObjectId]) -> Document:
    """The query of a search. `fields` has the API's names, the `or` group as an object; all conditions must hold.

    `passed_over` are the mailboxes that `searchable` leaves out.
    """
    conditions = [{"user": user}, *_of_place(fields, passed_over), *_of_message(fields), *_of_text(fields)]
    if _wants_searchable(fields):
        conditions.append({"searchable": True})
    return {"$and": conditions}


def _of_place(fields: Document, passed_over: list[ObjectId]) -> list[Document]:
    conditions: list[Document] = []
    if mailbox := fields.get("mailbox"):
        conditions.append({"mailbox": mailbox})
        if fields.get("id"):
            conditions.append(UidSet.parse(fields["id"]).condition())
    elif fields.get("searchable"):
        conditions.append({"mailbox": {"$nin": passed_over}})
    if thread := fields.get("thread"):
        conditions.append({"thread": thread})
    return conditions


def _of_message(fields: Document) -> list[Document]:
    dates = {"$gte": fields.get("datestart") or None, "$lte": fields.get("dateend") or None}
    sizes = {"$gte": fields.get("minSize") or None, "$lte": fields.get("maxSize") or None}
    conditions: list[Document] = [
        {name: {operator: value for operator, value in limits.items() if value is not None}}
        for name, limits in (("idate", dates), ("size", sizes))
        if any(value is not None for value in limits.values())
    ]
    if fields.get("flagged"):
        conditions.append({"flagged": True})
    if fields.get("attachments"):
        conditions.append({"ha": True})
    if fields.get("unseen") or fields.get("seen"):
        conditions.append({"unseen": bool(fields.get("unseen"))})
    return conditions


def _of_text(fields: Document) -> list[Document]:
    conditions = [_any(_header_terms(name, fields[name])) for name in _HEADERS if fields.get(name)]
    if query := fields.get("query"):
        conditions.append({"$text": {"$search": _all_words(query) if fields.get("useAndSearch") else query}})
    if group := _or_terms(fields):
        conditions.append(_any(group))
    return conditions


def _or_terms(fields: Document) -> list[Document]:
    given = fields.get("or") or {}
    terms = [term for name in _HEADERS if given.get(name) for term in _header_terms(name, given[name])]
    if given.get("query") and not fields.get("query"):
        # A text index can not serve one branch of many, so beside others the text is tested as it is.
        terms += [*_plain_text_terms(given["query"])] if terms else [{"$text": {"$search": given["query"]}}]
    return terms


def _header_terms(name: str, text: str) -> list[Document]:
    pattern = _literal(text.lower())
    return [{"headers": {"$elemMatch": {"key": key, "value": {"$regex": pattern}}}} for key in _HEADERS[name]]


def _plain_text_terms(text: str) -> list[Document]:
    return [
        {"text": {"$regex": _literal(text), "$options": "i"}},
        {"headers.value": {"$regex": _literal(text.lower())}},
    ]


def _literal(text: str) -> str:
    """A pattern for the text itself; the database takes NUL in a pattern only in its escaped form."""
    return re.escape(text).replace("\0", r"\x00")


def _any(terms: list[Document]) -> Document:
    return terms[0] if len(terms) == 1 else {"$or": terms}


def _all_words(query: str) -> str:
    """Each word as a phrase, so that all must occur."""
    words = (word.replace("\\", "\\\\").replace('"', '\\"') for word in query.split())
    return " ".join(f'"{word}"' for word in words)


def _wants_searchable(fields: Document) -> bool:
    or_query = (fields.get("or") or {}).get("query")
    return bool(
        fields.get("query")
        or or_query
        or fields.get("searchable")
        or fields.get("seen")
        or fields.get("unseen")
    )
