"""One spelling for each address."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.normalize import (
    ascii_domain,
    is_plain,
    is_wildcard,
    lookup_address,
    normalize_address,
    normalize_domain,
    search_text,
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
    assert normalize_address(given) == expected


def test_labels_and_dots_go_for_a_look_up() -> None:
    assert lookup_address("Ada.Love+news.x@Example.com") == "adalove@example.com"


def test_the_view_of_a_domain_keeps_its_dots() -> None:
    assert view("A.b@x.y.z") == "ab@x.y.z"
    assert view("A.b.c") == "abc"
    assert username_view("a.b") == "ab"
    assert username_view("a.b@x.y") == "ab@x.y"


def test_domains() -> None:
    assert normalize_domain(" EXAMPLE.com ") == "example.com"


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


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("XN--BCHER-KVA.xn--zckzah", "bücher.テスト"),
        ("xn--i-7iq.ws", "i❤.ws"),
        ("xn--abc-.com", "xn--abc-.com"),
        ("xn--.com", "xn--.com"),
        ("xn--99999999.com", "xn--99999999.com"),
        ("xn--0n8a.com", normalize_domain("xn--0n8a.com")),
        ("a.xn--zzzzzzz--.bücher", "a.xn--zzzzzzz--.bücher"),
    ],
)
def test_punycode_is_decoded_unless_it_is_none(domain: str, expected: str) -> None:
    assert normalize_domain(domain) == expected
    expected.encode()


_LABELS = st.text(
    st.characters(codec="utf-8", categories=["Ll", "Lo", "Nd", "So", "Mn"]), min_size=1, max_size=12
)


@given(_LABELS)
def test_a_name_and_its_punycode_are_one(label: str) -> None:
    wanted = normalize_domain(f"{label}.example")
    if not wanted.isascii():
        decoded = wanted.partition(".")[0]
        assert normalize_domain(f"xn--{decoded.encode('punycode').decode()}.example") == wanted


@given(
    st.text(st.characters(codec="utf-8"), max_size=40) | st.from_regex(r"xn--[a-z0-9-]{0,20}", fullmatch=True)
)
def test_what_is_normalized_stays_so_and_can_be_stored(text: str) -> None:
    once = normalize_domain(text)
    once.encode()
    assert unicodedata.is_normalized("NFC", normalize_domain(once))
    assert view(normalize_address(f"a.b@{text}")).encode()


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("*@x.de", True), ("*a@x.de", True), ("a*@x.de", True), ("a@*", True), ("*@*", False), ("a*b@x.de", False),
        ("**@x.de", False), ("*a*@x.de", False), ("*@x.*", False), ("a@x.de", False), ("@*", False),
        ("*" + "a" * 32 + "@x.de", True), ("a" * 33 + "*@x.de", False),
    ],
)  # fmt: skip
def test_wildcards_that_can_match(address: str, good: bool) -> None:
    assert is_wildcard(address) is good


@pytest.mark.parametrize(
    "address", ["@x.de", "a@", "a b@x.de", "a;b@x.de", "a@b@x.de", "a\u00a0@x.de", "a@x\n.de"]
)
def test_what_is_no_address_any_more(address: str) -> None:
    assert not is_plain(address)
    assert is_plain("ä.b*@bücher.de")


def test_a_search_is_in_the_form_of_what_is_stored() -> None:
    assert search_text("A.B@XN--bcher-kva.de") == "a.b@bücher.de"
    assert search_text("Bu\u0308cher") == "bücher"


@pytest.mark.parametrize(
    ("domain", "ascii_form"),
    [
        ("example.com", "example.com"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("\u0434\u043e\u043c\u0435\u043d.\u0440\u0444", "xn--d1acufc.xn--p1ai"),
        ("*", "*"),
    ],
)
def test_the_form_that_dns_knows(domain: str, ascii_form: str) -> None:
    assert ascii_domain(domain) == ascii_form
    assert normalize_domain(ascii_form) == domain
