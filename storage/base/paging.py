"""Keyset paging: cursors, and one page of a collection read through an index.

A cursor is base64url of `[inner, page]`: `inner` the Extended JSON of the last row's key, `page` the number of
the page that the cursor leads to. Cursors that hold `inner` alone, as older clients kept them, are read too. One with
a third element leads back from an empty page: to the row itself and on, as nothing lies between.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import bson
import orjson
from bson import ObjectId, json_util
from bson.errors import BSONError

from problems import InvalidInput
from storage.base.database import Condition

Row = TypeVar("Row", bound=Mapping[str, Any])

ASCENDING, DESCENDING = 1, -1
_MISSING = "__mixmax__undefined__"
_SCALARS = (str, int, float, bool, datetime, ObjectId, type(None))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LARGEST_PAGE = 2**53 - 2
_OPTIONS = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, tz_aware=True)


@dataclass(frozen=True, slots=True)
class Paging:
    """What a caller asked for: at most `limit` rows, beside a cursor or from the start."""

    limit: int = 20
    next: str | None = None
    previous: str | None = None
    page: int | None = None

    @property
    def backwards(self) -> bool:
        return not self.next and bool(self.previous)

    @property
    def cursor(self) -> str | None:
        return self.next or self.previous


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of rows, and the cursors to both sides (`False` where there is nothing)."""

    rows: list[Row]
    page: int
    previous_cursor: str | bool
    next_cursor: str | bool

    def answer(self, results: Iterable[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
        """The listing as the API shows it, `more` being `total` and the like."""
        return {
            "success": True,
            **more,
            "page": self.page,
            "previousCursor": self.previous_cursor,
            "nextCursor": self.next_cursor,
            "results": list(results),
        }


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place beside a row, or with `inclusive` before it, and the page that begins there if that is known."""

    value: Any
    row_id: ObjectId
    page: int | None = None
    inclusive: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """The key that a listing is sorted by; unless it is `unique`, `_id` breaks ties in the same direction."""

    key: str = "_id"
    direction: int = ASCENDING
    unique: bool = False

    def sort(self, backwards: bool) -> dict[str, int]:
        direction = -self.direction if backwards else self.direction
        return {self.key: direction} if self._is_unique else {self.key: direction, "_id": direction}

    @property
    def _is_unique(self) -> bool:
        return self.unique or self.key == "_id"

    def after(self, cursor: Cursor, backwards: bool) -> Condition:
        """The condition for rows behind a cursor in the direction of travel.

        A date is named once more, as a bound from where the index is read on: alternatives give it none.
        """
        value, row_id = cursor.value, cursor.row_id
        beyond = "$gt" if (self.direction == ASCENDING) != backwards else "$lt"
        last = f"{beyond}e" if cursor.inclusive else beyond
        if self._is_unique:
            return {self.key: {last: row_id if self.key == "_id" else value}}
        either: dict[str, Any] = {
            "$or": [{self.key: {beyond: value}}, {self.key: value, "_id": {last: row_id}}]
        }
        if not isinstance(value, datetime):
            return either
        return {self.key: {f"{beyond}e": value}, **either}

    def position(self, row: Mapping[str, Any]) -> Any:
        """What a cursor to this row holds."""
        return row["_id"] if self.key == "_id" else [row.get(self.key, _MISSING), row["_id"]]


def encode_cursor(position: Any, page: int, *, inclusive: bool = False) -> str:
    """The cursor that leads to `page`, starting beside `position`, or at it."""
    short = [position[0], str(position[1])] if isinstance(position, list) else position
    inner = orjson.dumps(short, default=_extended, option=orjson.OPT_PASSTHROUGH_DATETIME)
    outer = [inner.decode(), page, 1] if inclusive else [inner.decode(), page]
    return urlsafe_b64encode(orjson.dumps(outer)).decode().rstrip("=")


def _extended(value: Any) -> dict[str, Any]:
    """Extended JSON, with a date as a number, which is shorter."""
    if isinstance(value, ObjectId):
        return {"$oid": str(value)}
    if isinstance(value, datetime):
        return {"$date": (value.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND}
    raise TypeError(f"{type(value).__name__} is no key of a listing")


def decode_cursor(cursor: str, order: Order) -> Cursor:
    """Where a cursor leads.

    Raises InvalidInput: cursors come from outside, and only scalars may reach a query.
    """
    try:
        decoded = json_util.loads(
            urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode(), json_options=_OPTIONS
        )
        page, inclusive = None, False
        if _is_wrapped(decoded):
            inner, page, *rest = decoded
            inclusive = bool(rest)
            decoded = json_util.loads(inner, json_options=_OPTIONS)
        page = None if page is None else min(page, _LARGEST_PAGE)
        return Cursor(*_position(decoded, order), page, inclusive)
    except (ValueError, TypeError, ArithmeticError, BSONError, binascii.Error, RecursionError) as error:
        raise bad_cursor() from error


def _is_wrapped(decoded: Any) -> bool:
    if not isinstance(decoded, list) or len(decoded) not in (2, 3):
        return False
    return isinstance(decoded[0], str) and type(decoded[1]) is int and decoded[2:] in ([], [1])


def bad_cursor() -> InvalidInput:
    return InvalidInput({"next": '"Next page cursor" contains an invalid value'})


def _position(decoded: Any, order: Order) -> tuple[Any, ObjectId]:
    if order.key == "_id":
        value, row_id = None, decoded
    else:
        value, row_id = decoded
    if isinstance(row_id, str):
        row_id = ObjectId(row_id) if ObjectId.is_valid(row_id) else None
    if not isinstance(row_id, ObjectId) or not isinstance(value, _SCALARS):
        raise ValueError("not a position in this listing")
    bson.encode({order.key: value})  # a number or a text that no query can hold
    return (None if value == _MISSING else value), row_id


def read_page(
    read: Callable[[Condition, dict[str, int], int], list[Row]], paging: Paging, order: Order
) -> Page[Row]:
    """One page through `read(condition, sort, limit)`, which returns the rows that `condition` adds to its own."""
    condition: Condition = {}
    number, cursor = paging.page or 1, None
    if paging.cursor:
        cursor = decode_cursor(paging.cursor, order)
        if not (cursor.page is None and paging.page == 1 and paging.backwards):
            condition = order.after(cursor, paging.backwards)
            number = cursor.page if cursor.page is not None else number
    backwards = paging.backwards and bool(condition)
    rows = read(condition, order.sort(backwards), paging.limit + 1)
    return _page(rows, paging, order, number, backwards=backwards, start=cursor if condition else None)


def _page(
    rows: list[Row], paging: Paging, order: Order, number: int, *, backwards: bool, start: Cursor | None
) -> Page[Row]:
    more = len(rows) > paging.limit
    rows = rows[: paging.limit]
    if backwards:
        rows.reverse()
    has_previous, has_next = (more, True) if backwards else (start is not None, more)
    number = max(number, 1) if has_previous else 1
    edges: Sequence[Mapping[str, Any]] = rows
    if start and not rows:
        edges = [{order.key: start.value, "_id": start.row_id}]

    def cursor(row: Mapping[str, Any], page: int) -> str:
        return encode_cursor(order.position(row), page, inclusive=not rows)

    return Page(
        rows,
        number,
        cursor(edges[0], max(number - 1, 0)) if has_previous else False,
        cursor(edges[-1], number + 1) if has_next else False,
    )
