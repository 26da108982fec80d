"""Tokens: whatever a header contains is found by them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mail.search_tokens import search_tokens, word_to_look_up


def test_a_word_stands_there_from_each_of_its_letters_on() -> None:
    tokens = search_tokens([{"key": "from", "value": "grace <g@x.org>"}, {"key": "subject", "value": "no"}])
    assert tokens == ["f:grace", "f:race", "f:ace", "f:g", "f:x", "f:org", "s:no"]
    assert search_tokens([{"key": "cc", "value": "bob"}]) == ["t:bob"]
    assert search_tokens([{"key": "list-id", "value": "x"}]) == []


def test_a_message_to_everybody_has_to_be_looked_at() -> None:
    value = " ".join(f"someone{number}@example.com" for number in range(200))
    assert search_tokens([{"key": "to", "value": value}]) == ["*"]


@given(st.text(max_size=60), st.integers(0, 60), st.integers(1, 30))
def test_what_a_value_contains_is_found(value: str, start: int, length: int) -> None:
    value = value.lower()
    part = value[start : start + length]
    word = word_to_look_up(part)
    tokens = search_tokens([{"key": "subject", "value": value}])
    assert not word or any(str(token).startswith(f"s:{word}") for token in tokens)
