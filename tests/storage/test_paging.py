"""Pages by cursor, whatever is deleted meanwhile, and cursors that nobody made."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.collection import Collection

from problems import InvalidInput
from storage.base.listing import page_of
from storage.base.paging import ASCENDING, DESCENDING, Order, Page, Paging, decode_cursor
from storage.store import Store

ORDERS = [
    Order(),
    Order(direction=DESCENDING),
    Order("name", unique=True),
    Order("date"),
    Order("date", DESCENDING),
    Order("lacking", ASCENDING),
]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def rows(store: Store) -> Any:
    """Nine rows; each date is that of three."""
    collection = store.databases.main["paged"]
    collection.insert_many({"n": n, "name": f"{n}", "date": NOW + timedelta(days=n // 3)} for n in range(9))
    yield collection
    collection.drop()


def page(rows: Collection[dict[str, Any]], order: Order, **paging: Any) -> Page[Any]:
    return page_of(rows, {}, {}, Paging(3, **paging), order)[0]


def numbers(page: Page[Any]) -> list[int]:
    return [row["n"] for row in page.rows]


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def delete(rows: Collection[dict[str, Any]], *pages: Page[Any]) -> None:
    rows.delete_many({"_id": {"$in": [row["_id"] for page in pages for row in page.rows]}})


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_an_empty_last_page_leads_back(rows: Collection[dict[str, Any]], order: Order) -> None:
    first = page(rows, order)
    second = page(rows, order, next=first.next_cursor)
    delete(rows, page(rows, order, next=second.next_cursor))
    empty = page(rows, order, next=second.next_cursor)
    assert (empty.rows, empty.page, empty.next_cursor) == ([], 3, False)
    back = page(rows, order, previous=empty.previous_cursor)
    assert (numbers(back), back.page) == (numbers(second), 2), "the row beside the cursor, too"
    assert numbers(page(rows, order, previous=back.previous_cursor)) == numbers(first)
    assert page(rows, order, next=back.next_cursor).rows == []


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_an_empty_first_page_leads_on(rows: Collection[dict[str, Any]], order: Order) -> None:
    first = page(rows, order)
    second = page(rows, order, next=first.next_cursor)
    delete(rows, first)
    empty = page(rows, order, previous=second.previous_cursor)
    assert (empty.rows, empty.page, empty.previous_cursor) == ([], 1, False)
    on = page(rows, order, next=empty.next_cursor)
    assert (numbers(on), on.page) == (numbers(second), 2)


def test_a_listing_of_nothing_has_no_cursors(rows: Collection[dict[str, Any]]) -> None:
    rows.delete_many({})
    found = page(rows, Order())
    assert (found.rows, found.page, found.previous_cursor, found.next_cursor) == ([], 1, False, False)


def test_where_all_has_gone_no_way_leads_anywhere(rows: Collection[dict[str, Any]]) -> None:
    cursor = page(rows, Order()).next_cursor
    rows.delete_many({})
    empty = page(rows, Order(), next=cursor)
    back = page(rows, Order(), previous=empty.previous_cursor)
    assert (back.rows, back.previous_cursor) == ([], False)


ID = "5f0f32b3a1a8e6d9c1a2b3c4"


@pytest.mark.parametrize("number", [2**70, -(2**70), -5, 0])
def test_a_page_number_of_any_size_leads_on(rows: Collection[dict[str, Any]], number: int) -> None:
    found = page(rows, Order(), next=encoded(f'["{{\\"$oid\\":\\"000000000000000000000000\\"}}",{number}]'))
    assert (numbers(found), found.page >= 1) == ([0, 1, 2], True)
    assert numbers(page(rows, Order(), next=found.next_cursor)) == [3, 4, 5]


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", "7", '{"$oid":"5df1"}', '[["a"],2]', '["[]",2]', '["7",2,1,1]',
        f'["[\\"a\\",\\"{ID}\\"]",2,2]', f'["[\\"a\\",\\"{ID}\\"]",true]', f'["[{{\\"$gt\\":1}},\\"{ID}\\"]",2]',
        f'["[{1 << 64},\\"{ID}\\"]",2]', f'["[\\"\\\\ud800\\",\\"{ID}\\"]",2]', '["[[[[",2]',
    ],
)  # fmt: skip
def test_cursors_that_nobody_made(text: str) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor(encoded(text), Order("name"))
