"""Messages written to keep a parser busy: the work grows with their size, not with its square."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from mail.message import index
from mail.pictures import extract_data_images
from mail.sanitize import sanitize

HTML = b"Content-Type: text/html\r\n\r\n"
SECONDS = 8

MESSAGES = {
    "scripts that never end": HTML + b"<script>" * 60_000,
    "blanks without an end of line": b"\r\n" + b" " * 600_000 + b"x",
    "blanks in a folded field": b"Subject: a" + b" " * 60_000 + b"b\r\n c\r\n\r\n",
    "carriage returns in a field": b"X: a" + b"\r" * 1_000_000 + b"b\r\n\r\n",
    "encoded-words that never end": b"Subject: " + b"x=?a?q?" * 9_000 + b"\r\n\r\n",
    "angles that never close": b"List-Id: " + b"<" * 60_000 + b"\r\n\r\n",
    "comments that never close": b"To: " + b"(a" * 60_000 + b"\r\n\r\n",
    "tags that never end": HTML + b"<x " * 200_000,
    "a thousand levels of multiparts": b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(1000)
    ),
    "a thousand levels of messages": b"Content-Type: message/rfc822\r\n\r\n" * 1000 + b"x",
    "parts without number": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 100_000,
    "a header of a megabyte": b"X: " + b"a" * 1_048_576 + b"\r\n\r\n",
    "messages without number, each from everybody": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + (b"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: " + b"a@b," * 500 + b"\r\n\r\nx\r\n") * 1000,
    "fields without number": b"To: b@x,\r\n" * 50_000 + b"\r\n",
}

MARKUP = [
    "<div>",
    "<b>x</p>",
    "<b><a href=x>",
    "<p>",
    "<td>x",
    "<a></div>",
    "<div title='</div>'>",
    "<!--<div>",
    "<b><div></b>",
]


@pytest.mark.parametrize("name", list(MESSAGES))
def test_a_message_is_indexed_in_time(name: str) -> None:
    begun = time.perf_counter()
    document = index(MESSAGES[name], datetime(2026, 1, 1, tzinfo=UTC)).document
    assert document["size"] > 0
    assert time.perf_counter() - begun < SECONDS


@pytest.mark.parametrize("unit", MARKUP)
def test_markup_is_made_safe_in_time(unit: str) -> None:
    begun = time.perf_counter()
    sanitize(unit * (655_360 // len(unit)))
    assert time.perf_counter() - begun < SECONDS


@pytest.mark.parametrize(
    "unit", ["<img ", '<img src="data:,', "<img src= ", '<img "', "<img '\"", "<img \"'<img '\""]
)
def test_pictures_are_found_in_time(unit: str) -> None:
    begun = time.perf_counter()
    extract_data_images(unit * 100_000 + " data:", "x")
    assert time.perf_counter() - begun < SECONDS
