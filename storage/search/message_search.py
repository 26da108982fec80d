"""Searching messages of an account by text, headers, dates, sizes and flags."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from bson import ObjectId
from pymongo.errors import ExecutionTimeout

from storage.base.database import SWEEP_MS, Condition, Databases, Projection, Stages, holding
from storage.base.paging import DESCENDING, Order, Page, Paging, encode_cursor, read_page
from storage.mailboxes.documents import Mailbox
from storage.messages.documents import Message
from storage.messages.messages import LISTED, LISTED_WITH_HEADERS
from storage.messages.threads import thread_stages
from storage.search.plan import Places

log = structlog.get_logger()

SEARCH_MS = 3000
_ROWS_AT_ONCE = 20
_SPAM_AND_TRASH = ("\\Junk", "\\Trash")
_USES = {
    "spam": "\\Junk",
    "junk": "\\Junk",
    "sent": "\\Sent",
    "trash": "\\Trash",
    "deleted": "\\Trash",
    "drafts": "\\Drafts",
}


class MessageSearch:
    """Searches; each is bounded in time. `conditions` are conditions, of which a message has to fulfil one."""

    def __init__(self, databases: Databases) -> None:
        self._collection = holding(databases.main["messages"], Message)
        self._sums = databases.main["messages"]
        self._mailboxes = holding(databases.main["mailboxes"], Mailbox)
        self._limit_ms = SEARCH_MS

    def search(
        self,
        user: ObjectId,
        conditions: Sequence[Condition],
        paging: Paging,
        order: Order,
        *,
        collapse_threads: bool = False,
        with_headers: bool = False,
    ) -> tuple[Page[Message], int]:
        """A page of what is `conditions` (see `storage.search.plan`), and how much is.

        What is not found in time is left out: the page is then shorter, and where it has rows its cursor leads on.
        """
        projection = LISTED_WITH_HEADERS if with_headers else LISTED
        cut: list[bool] = []

        def read(condition: Condition, sort: dict[str, int], limit: int) -> list[Message]:
            if collapse_threads:
                direction = order.direction
                stages = thread_stages(condition, sort, limit, direction, projection, order.key)
                pipeline = [*matching_stages(conditions, {"thread": 1, order.key: 1}), *stages]
                rows, in_time = _in_time(self._read(pipeline))
            else:
                rows, in_time = self._found(conditions, condition, sort, limit, projection)
            cut.append(not in_time)
            return rows

        page = read_page(read, paging, order)
        if any(cut):
            log.warning("a search was cut short", user=str(user), rows=len(page.rows))
            page = _leading_on(page, paging, order)
        return page, self._count(conditions, len(page.rows), collapse_threads=collapse_threads)

    def _read(self, pipeline: Stages) -> Iterator[Message]:
        """Asked when the first row is."""
        yield from self._collection.aggregate(pipeline, maxTimeMS=self._limit_ms)

    def _found(
        self,
        conditions: Sequence[Condition],
        condition: Condition,
        sort: dict[str, int],
        limit: int,
        projection: Projection,
    ) -> tuple[list[Message], bool]:
        """The first rows of each alternative, each by its own index, in one; and whether these are all.

        The time is shared out: what one leaves is for the others.
        """
        ends = time.monotonic() + self._limit_ms / 1000
        found = []
        for number, own in enumerate(conditions):
            left = round((ends - time.monotonic()) * 1000 / (len(conditions) - number))
            filtered = {"$and": [own, condition]} if condition else own
            rows = self._collection.find(
                filtered, projection, max_time_ms=max(left, 1), batch_size=_ROWS_AT_ONCE
            )
            found.append(_in_time(rows.sort(list(sort.items())).limit(limit)))
        return first_of(found, sort, limit), all(in_time for _, in_time in found)

    def _count(self, conditions: Sequence[Condition], least: int, *, collapse_threads: bool) -> int:
        """How much matches; where counting takes too long, what is known to match."""
        matching = matching_stages(conditions, {"thread": 1} if collapse_threads else {"_id": 1})
        several = collapse_threads or len(conditions) > 1
        each = _each_value("$thread" if collapse_threads else "$_id") if several else ()
        stages = [*matching, *each, {"$count": "n"}]
        try:
            counted = self._sums.aggregate(stages, maxTimeMS=self._limit_ms)
            return next((int(row["n"]) for row in counted), 0)
        except ExecutionTimeout:
            return least

    def matching(
        self, conditions: Sequence[Condition], after: ObjectId | None, until: ObjectId, limit: int
    ) -> list[Message]:
        """`_id`, `mailbox` and `uid` of what meets a condition, by `_id`, beyond `after` and not beyond `until`."""
        span = {"_id": {"$lte": until, **({"$gt": after} if after else {})}}
        fields = {"mailbox": 1, "uid": 1}
        found = [
            self._collection.find({"$and": [own, span]}, fields, max_time_ms=SWEEP_MS).sort("_id", 1)
            for own in conditions
        ]
        return first_of([(list(rows.limit(limit)), True) for rows in found], {"_id": 1}, limit)

    def places(self, user: ObjectId) -> Places:
        """What a plan has to know of the account's mailboxes."""
        rows = list(self._mailboxes.find({"user": user}, {"path": 1, "specialUse": 1}))
        skipped = [row["_id"] for row in rows if row.get("specialUse") in _SPAM_AND_TRASH]
        return Places(skipped, lambda name: _find_named(rows, name))


def matching_stages(conditions: Sequence[Condition], fields: Projection) -> Stages:
    """Stages that give what fulfils one of the conditions. Of several, only `fields`, and once for each condition."""
    if len(conditions) == 1:
        return [{"$match": conditions[0]}]
    each: list[Stages] = [[{"$match": own}, {"$project": fields}] for own in conditions]
    first, *others = each
    return [*first, *({"$unionWith": {"coll": "messages", "pipeline": stages}} for stages in others)]


def _each_value(field: str) -> Stages:
    """Stages that give each value once.

    The field gets its own name: MongoDB 6 takes all values for one where it groups by a field of what an
    `$or` in the condition led to.
    """
    return [{"$set": {"value": field}}, {"$group": {"_id": "$value"}}]


def first_of(
    readings: Sequence[tuple[list[Message], bool]], sort: Mapping[str, int], limit: int
) -> list[Message]:
    """The first rows of several readings in the same order, each once.

    One that was cut while rows came has more behind its last row: nothing is shown beyond that, so that a cursor
    leads on to all of it.
    """
    unique = {row["_id"]: row for rows, _ in readings for row in rows}
    backwards = next(iter(sort.values())) < 0
    ends = {rows[-1]["_id"] for rows, in_time in readings if rows and not in_time}
    shown: list[Message] = []
    for row in sorted(unique.values(), key=lambda row: _place(row, sort), reverse=backwards)[:limit]:
        shown.append(row)
        if row["_id"] in ends:
            break
    return shown


def _place(row: Mapping[str, Any], sort: Mapping[str, int]) -> list[tuple[bool, Any]]:
    """Where a row stands; what is missing comes first."""
    return [(row.get(name) is not None, row.get(name)) for name in sort]


def _in_time(cursor: Iterable[Message]) -> tuple[list[Message], bool]:
    """The rows that came in time, and whether these are all."""
    rows: list[Message] = []
    try:
        for message in cursor:
            rows.append(message)
    except ExecutionTimeout:
        return rows, False
    return rows, True


def _leading_on(page: Page[Message], paging: Paging, order: Order) -> Page[Message]:
    """The page with a cursor to what there was no time for."""
    if not page.rows:
        return page
    if paging.backwards:
        previous = encode_cursor(order.position(page.rows[0]), max(page.page - 1, 0))
        return replace(page, previous_cursor=previous)
    return replace(page, next_cursor=encode_cursor(order.position(page.rows[-1]), page.page + 1))


def _find_named(mailboxes: Sequence[Mailbox], name: str) -> ObjectId | None:
    """By id, by path, `inbox` in any case, or by the beginning of a special use: `sent`, `/Trash`, `spam` …"""
    by_id = {str(mailbox["_id"]): mailbox["_id"] for mailbox in mailboxes}
    by_path = {mailbox["path"]: mailbox["_id"] for mailbox in mailboxes}
    by_use = {mailbox.get("specialUse"): mailbox["_id"] for mailbox in reversed(mailboxes)}
    plain = name.lower().removeprefix("/")
    if plain == "inbox":
        return by_path.get("INBOX")
    found = by_id.get(plain) or by_path.get(name) or by_path.get(name.removeprefix("/"))
    use = next((use for word, use in _USES.items() if plain.startswith(word)), None)
    return found or (by_use.get(use) if use else None)


def search_order(order: str | None) -> Order:
    """The sort of a search: by `_id`, newest first, unless `asc` or `desc` asks for the date."""
    if not order:
        return Order("_id", DESCENDING)
    return Order("idate", 1 if order == "asc" else DESCENDING)
