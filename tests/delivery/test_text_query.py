"""What a text query asks for, against an evaluation that goes through it letter by letter."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from delivery.inbound.filtering import parse_text_query, plain, text_holds

QUERIES = st.lists(
    st.sampled_from(
        ["OR", "or", "a", "B", "ab", "ORa", '"', '"a b"', '" b"', '""', '"OR"', " ", "  ", ",", "\t"]
    ),
    max_size=9,
).map("".join)
TEXTS = st.text('abor, "', max_size=14)


def naively(query: str, text: str) -> bool:
    """Phrases are cut out first, then what is left is taken apart at blanks, commas and OR."""
    groups: list[list[str]] = [[]]
    word = ""
    position = 0
    while position <= len(query):
        sign = query[position] if position < len(query) else " "
        closing = query.find('"', position + 1) if sign == '"' else -1
        if sign.isspace() or sign == "," or closing >= 0:
            start = position - len(word)
            before = query[start - 1] if start else " "
            alone = (before.isspace() or before == '"') and (sign.isspace() or sign == '"')
            if word == "OR" and alone:
                groups.append([])
            elif word:
                groups[-1].append(word)
            word = ""
        else:
            word += sign
        if closing >= 0:
            groups[-1].append(query[position + 1 : closing])
            position = closing
        position += 1
    groups = [[" ".join(term.lower().split()) for term in group if term.split()] for group in groups]
    groups = [group for group in groups if group]
    whole = " ".join(query.lower().split())
    if not groups:
        return whole in text
    return any(all(term in text for term in group) for group in groups)


@given(QUERIES, TEXTS)
@example("a OR b", "b")
@example('a "a b" OR b', "a b")
@example(' OR "a"', "a")
@example('""OR"', '"')
def test_as_naively_evaluated(query: str, text: str) -> None:
    assert text_holds(query, plain(text)) == naively(query, plain(text))


@pytest.mark.parametrize(
    ("query", "alternatives"),
    [
        ("urgent,immediate", (("urgent", "immediate"),)),
        ('urgent OR "Due  Today"', (("urgent",), ("due today",))),
        ("a b OR c", (("a", "b"), ("c",))),
        ('big "due today" soon OR x', (("big", "due today", "soon"), ("x",))),
        ("ORDER or FLOOR", (("order", "or", "floor"),)),
        ("OR a OR OR b OR", (("a",), ("b",))),
        (", ,", ((", ,",),)),
        ("OR", (("or",),)),
        ('5" disk', (('5"', "disk"),)),
        ("", ()),
        ('" "', (('" "',),)),
    ],
)
def test_terms(query: str, alternatives: tuple[tuple[str, ...], ...]) -> None:
    assert parse_text_query(query) == alternatives
