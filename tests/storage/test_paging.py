"""Cursors come from outside: what leads nowhere is refused before the database is asked."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from problems import InvalidInput
from storage.paging import Order, Paging, read_page

ID = '{"$oid":"5df1fd2d77925118b607c684"}'


def cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        *(
            f"[{value},{ID}]"
            for value in ("9" * 20, "-" + "9" * 20, '"\\ud800"', '{"$regex":"a"}', "[1]", "{}")
        ),
        *(json.dumps([f'["x",{ID}]', page]) for page in (10**30, 2**31, -1)),
        *("1", "[]", "[1,2,3]", '"x"', "null"),
    ],
)
@pytest.mark.parametrize("side", ["next", "previous"])
def test_cursors_that_lead_nowhere(text: str, side: str) -> None:
    with pytest.raises(InvalidInput):
        read_page(lambda condition, sort, limit: [], Paging(20, **{side: cursor(text)}), Order("name"))


def test_one_that_is_right_as_they_always_were() -> None:
    asked = []
    read_page(lambda *given: asked.append(given) or [], Paging(20, next=cursor(f'["x",{ID}]')), Order("name"))
    assert len(asked) == 1
