"""The shape of a query has no value in it, whatever the query."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from storage.base.watch import shape

_values = st.sampled_from(["VALUE", 12345, b"VALUE", 1.5])
_queries = st.recursive(
    _values,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.sampled_from(["$or", "a", "b.c"]), inner),
    max_leaves=20,
)


def test_fields_operators_and_stages_stay() -> None:
    query = ({"user": ObjectId(), "$or": [{"a": 1}, {"a": 2}, {"b": {"$in": ["x", "y"]}}]}, {"a": 1})
    assert shape(query) == [{"user": "?", "$or": [{"a": "?"}, {"b": {"$in": ["?"]}}]}, {"a": "?"}]


def test_dates_bytes_and_objects_are_values() -> None:
    assert shape({"at": datetime.now(), "raw": b"x", "on": True, "none": None}) == dict.fromkeys(
        ("at", "raw", "on", "none"), "?"
    )


def test_it_is_bounded() -> None:
    deep: Any = "x"
    for _ in range(1000):
        deep = {"a": deep}
    assert len(orjson.dumps(shape(deep))) < 200
    wide = {f"field{n}" + "x" * 1000: list(range(1000)) for n in range(1000)}
    assert len(orjson.dumps(shape(wide))) < 4000


@given(_queries)
def test_no_value_is_ever_in_it(query: Any) -> None:
    text = str(shape(query))
    assert "VALUE" not in text
    assert not any(sign.isdigit() for sign in text)
