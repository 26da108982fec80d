"""Cursors that no listing of ours made: they come from outside, so each is refused or read, and none is a fault."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import bson
import pytest
from bson import ObjectId

from problems import InvalidInput
from storage.paging import Order, Paging, decode_cursor, read_page

ROW: dict[str, Any] = {"_id": ObjectId("5df1fd2d77925118b607c684"), "name": "ada"}
OID = {"$oid": "5df1fd2d77925118b607c684"}


def cursor(*parts: Any) -> str:
    text = json.dumps(parts[0] if len(parts) == 1 else list(parts))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "value",
    [
        {"$numberDecimal": "x"}, {"$numberLong": "9" * 30}, 2**63, -(10**30), "\ud800", {"$date": 1e300},
        {"$regularExpression": {"pattern": "(", "options": "x"}}, {"$gt": ""}, ["a"], {"$minKey": 1},
    ],
)  # fmt: skip
def test_a_key_that_no_row_can_have_is_refused(value: Any) -> None:
    inner = json.dumps([value, OID])
    for hostile in (cursor([value, OID]), cursor(inner, 2)):
        with pytest.raises(InvalidInput):
            decode_cursor(hostile, Order("name"))


@pytest.mark.parametrize("page", [2**70, -(2**70), -5, 0])
def test_a_page_number_of_any_size_leads_on(page: int) -> None:
    paging = Paging(limit=1, next=cursor(json.dumps(["a", OID]), page))

    def read(condition: Any, sort: Any, limit: int) -> list[dict[str, Any]]:
        assert bson.encode(condition)
        return [ROW] * limit

    found = read_page(read, paging, Order("name"))
    assert found.page >= 1
    assert decode_cursor(str(found.next_cursor), Order("name"))[0] == ("ada", ROW["_id"])
