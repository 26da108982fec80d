"""JSON as the API sends it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.http.json import dumps

TEXTS = st.text() | st.sampled_from(["1.0", "1.0,", "1.0\n", "1.0,\n", ' 1.0,\n"', ".0"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda part: st.lists(part) | st.dictionaries(TEXTS, part),
)  # fmt: skip


@given(VALUES)
def test_what_is_sent_means_what_was_meant(value: Any) -> None:
    assert orjson.loads(dumps(value)) == value


@pytest.mark.parametrize("number", [5_368_709_120.0, 2_592_000_000.0, 0.0, -3.0, 9_007_199_254_740_991.0])
def test_a_whole_number_that_wildduck_stored_is_sent_as_one(number: float) -> None:
    sent = dumps({"alone": number, "listed": [number, number], "last": {"of": number}})
    assert b"." not in sent
    assert orjson.loads(sent)["listed"] == [number, number]


def test_fractions_and_texts_stay() -> None:
    value = {"ratio": 0.5, "version": "1.0", "text": "1.0,\n1.0\n"}
    assert dumps(value) == orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
