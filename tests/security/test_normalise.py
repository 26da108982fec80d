"""One spelling for each address."""

from __future__ import annotations

import pytest

from security.normalise import (
    lookup_address,
    normalise_address,
    normalise_domain,
    sorted_tags,
    tag_list,
    username_view,
    view,
    wildcard_candidates,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Ada.Lovelace@Example.COM", "ada.lovelace@example.com"),
        ("ada@XN--BCHER-KVA.example", "ada@bücher.example"),
        ("ada@bu\u0308cher.example", "ada@bücher.example"),
        ("ada@xn--\udcff.example".encode("ascii", "replace").decode(), "ada@xn--?.example"),
        ("", ""),
    ],
)
def test_addresses(given: str, expected: str) -> None:
    assert normalise_address(given) == expected


def test_labels_and_dots_go_for_a_look_up() -> None:
    assert lookup_address("Ada.Love+news.x@Example.com") == "adalove@example.com"


def test_the_view_of_a_domain_keeps_its_dots() -> None:
    assert view("A.b@x.y.z") == "ab@x.y.z"
    assert view("A.b.c") == "abc"
    assert username_view("a.b") == "ab"
    assert username_view("a.b@x.y") == "ab@x.y"


def test_domains() -> None:
    assert normalise_domain(" EXAMPLE.com ") == "example.com"


def test_wildcards_come_most_specific_first() -> None:
    assert list(wildcard_candidates("abc", "d")) == [
        "abc*@d",
        "*abc@d",
        "ab*@d",
        "*bc@d",
        "a*@d",
        "*c@d",
        "*@d",
    ]


def test_tags() -> None:
    assert sorted_tags(["b", "A", "a", "B", "c"]) == (["A", "b", "c"], ["a", "b", "c"])
    assert tag_list(" A, b,,a ") == ["a", "b"]
