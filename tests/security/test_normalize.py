"""One spelling for each address."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.domains import InvalidDomain, ascii_domain, canonical_domain, domain_text
from security.normalize import (
    is_plain,
    is_wildcard,
    lookup_address,
    normalize_address,
    normalize_domain,
    search_text,
    sender_pattern,
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
        ("ada@xn--?.example", "ada@"),
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


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("EXAMPLE.com", "example.com"),
        ("\uff4dall.example", "mall.example"),  # full-width m
        ("m\u00adall.example", "mall.example"),  # soft hyphen
        ("m\u200ball.example", "mall.example"),  # zero-width space
        ("\U0001d4c2all.example", "mall.example"),  # script m
        ("\u24dcall.example", "mall.example"),  # circled m
        ("mall\u3002example", "mall.example"),  # ideographic full stop
        ("mall\uff0eexample", "mall.example"),
        ("bu\u0308cher.example", "b\u00fccher.example"),
        ("fa\u00df.example", "fa\u00df.example"),  # no transitional mapping
        ("XN--BCHER-KVA.xn--zckzah", "bücher.テスト"),
        ("a_b.example", "a_b.example"),
        ("r3---sn-x.example", "r3---sn-x.example"),
        ("localhost", "localhost"),
        ("*", "*"),
        ("[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"),
    ],
)
def test_one_form_of_a_domain(given: str, canonical: str) -> None:
    assert normalize_domain(given) == canonical_domain(given) == canonical
    assert canonical_domain(canonical) == canonical
    assert canonical_domain(ascii_domain(canonical)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "example.com.",
        ".example.com",
        "a..example",
        " example.com",
        "exam ple.com",
        "m\u200dall.example",  # zero-width joiner
        "m\u200call.example",  # zero-width non-joiner
        "mall\u2024example",  # one dot leader
        "m\u202eall.example",  # right-to-left override
        "\u05d0a.example",  # Hebrew and Latin in one label
        "1\u0660.\u05d0",
        "1a.\u05d0.example",  # a bidi domain with a label that begins with a digit (RFC 5893)
        "i\u2764.ws",  # no letter (IDNA 2008)
        "xn--i-7iq.ws",
        "xn--abc-.com",
        "xn--.com",
        "xn--99999999.com",
        "xn--all-0gy3q.example",
        f"xn--{'ｍall'.encode('punycode').decode()}.example",
        "xn--" + "bu\u0308cher".encode("punycode").decode() + ".example",
        "a.xn--zzzzzzz--.bücher",
        "a" * 64 + ".example",
        "ü" * 60 + ".example",
        ".".join(["a" * 60] * 5),
        "\ud800.example",
        "-a.example",
        "a-.example",
        "\uff0a",  # full-width asterisk
        "m\uff20x.example",  # full-width @
        "ü" * 100_000,
    ],
)
def test_what_is_no_domain_is_equal_to_none(text: str) -> None:
    with pytest.raises(InvalidDomain):
        canonical_domain(text)
    assert normalize_domain(text) == ""
    assert normalize_address(f"ada@{text}") == "ada@"
    assert not is_plain(normalize_address(f"ada@{text}"))


def test_parts_of_domains_as_they_are_searched() -> None:
    assert domain_text(" EXAMPLE.") == "example."
    assert domain_text(".xn--bcher-kva.de") == ".bücher.de"
    assert domain_text("") == ""


@pytest.mark.parametrize(
    "local",
    [
        "\uff42oss",  # full-width
        "b\u00adoss",  # soft hyphen
        "bo\u200bss",
        "bo\u200dss",
        "bo\u034fss",  # grapheme joiner
        "boss\ufe0f",  # variation selector
        "bo\u115fss",  # Hangul filler
        "\u24d1oss",  # circled
        "o\ufb03ce",  # ligature
        "\u202eboss",
        "bo\u3002ss",
        "boss\u2460",
        "bo\ue000ss",  # private use
        "bo\U000e0061ss",  # tag letter
    ],
)
def test_look_alikes_of_local_parts_are_not_registered(local: str) -> None:
    assert not is_plain(normalize_address(f"{local}@example.com"))


@pytest.mark.parametrize("local", ["jörg", "\u0434\u043e\u043c", "テスト", "o'neil", "a=b", "straße"])
def test_local_parts_that_stand_for_themselves(local: str) -> None:
    assert is_plain(normalize_address(f"{local}@example.com"))


def test_sender_patterns() -> None:
    assert sender_pattern("*@XN--bcher-kva.de") == "*@bücher.de"
    assert sender_pattern("*.XN--bcher-kva.de") == "*.bücher.de"
    assert sender_pattern("News*") == "news*"
    assert sender_pattern("Ada@Exam*") == "ada@exam*"


def test_user_names_that_look_like_addresses() -> None:
    assert username_view("a.b@xn--bcher-kva.de") == "ab@bücher.de"
    assert username_view("a.b@x=y") == "ab@x=y"
    assert username_view("a.b@m\u200dall.example") == "ab@"


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


_LABELS = st.text(st.characters(codec="utf-8", categories=["Ll", "Lo", "Nd", "Mn"]), min_size=1, max_size=12)


@given(_LABELS)
def test_a_name_and_its_punycode_are_one(label: str) -> None:
    if wanted := normalize_domain(f"{label}.example"):
        assert normalize_domain(ascii_domain(wanted)) == wanted


@given(
    st.text(st.characters(codec="utf-8"), max_size=40) | st.from_regex(r"xn--[a-z0-9-]{0,20}", fullmatch=True)
)
def test_what_is_normalized_stays_so_and_can_be_stored(text: str) -> None:
    once = normalize_domain(text)
    once.encode()
    assert unicodedata.is_normalized("NFC", once)
    assert once == normalize_domain(once) == normalize_domain(ascii_domain(once))
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
