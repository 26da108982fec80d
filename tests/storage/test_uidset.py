"""Sets of UIDs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.messages.uid_set import UidSet


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("7", {"uid": {"$in": [7]}}),
        ("1,2,2", {"uid": {"$in": [1, 2, 2]}}),
        ("7:3", {"uid": {"$gte": 3, "$lte": 7}}),
        ("3:*", {"uid": {"$gte": 3}}),
        ("1,5:7", {"$or": [{"uid": {"$in": [1]}}, {"uid": {"$gte": 5, "$lte": 7}}]}),
        ("007", {"uid": {"$in": [7]}}),
    ],
)
def test_forms(text: str, condition: dict[str, object]) -> None:
    assert UidSet.parse(text).condition() == condition


@pytest.mark.parametrize("text", ["", "*", "*:3", "1,", ",1", "1 2", "-1", "1.5", "a", "1:2:3", "1\n", "١"])
def test_what_is_no_set(text: str) -> None:
    with pytest.raises(ValueError, match="not a set of UIDs"):
        UidSet.parse(text)


@pytest.mark.parametrize("digits", ["99999999999", "9" * 5000])
def test_a_number_of_any_length_fits_the_database(digits: str) -> None:
    """MongoDB takes 64 bits, Python's int() 4300 digits."""
    assert UidSet.parse(digits).condition() == {"uid": {"$in": [2**32]}}
    assert UidSet.parse(f"2:{digits}").condition() == {"uid": {"$gte": 2, "$lte": 2**32}}


_PARTS = st.one_of(
    st.integers(0, 30).map(lambda n: (n, n, str(n))),
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda p: (min(p), max(p), f"{p[0]}:{p[1]}")),
    st.integers(0, 30).map(lambda n: (n, 99, f"{n}:*")),
)


@given(st.lists(_PARTS, min_size=1, max_size=6))
def test_a_set_holds_what_its_parts_hold(parts: list[tuple[int, int, str]]) -> None:
    found = UidSet.parse(",".join(text for _, _, text in parts))
    for uid in range(40):
        wanted = any(low <= uid <= high for low, high, _ in parts)
        inside = any(low <= uid and (high is None or uid <= high) for low, high in found.ranges)
        assert (uid in found.single or inside) == wanted
