"""Data of a caller's own, as a WildDuck may have stored it."""

from __future__ import annotations

from typing import Any

import pytest

from mail.custom_data import custom_data
from server.http.json import dumps


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("", {}), (None, {}), ({}, {}), ({"a": 1}, {"a": 1}), ('{"a":1}', {"a": 1}), ("no JSON", "no JSON"),
        ('{"cut":"\\ud83d"}', {"cut": "?"}),
        ('{"whole":"\\ud83d\\ude00"}', {"whole": "😀"}),
        ('{"n":123456789012345678901234567890}', {"n": 1.2345678901234568e29}),
        ("[" * 3000 + "]" * 3000, "[" * 3000 + "]" * 3000),
    ],
)  # fmt: skip
def test_data_that_a_wildduck_stored_can_be_sent(stored: Any, shown: Any) -> None:
    assert custom_data(stored) == shown
    assert dumps({"metaData": custom_data(stored)})
