"""The string formats of the contract."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from server.contract.formats import FORMATS, read_date

GOOD = {
    "email-address": [
        "ada@example.com", "a.b+c@x-y.example", "ä@bücher.example", "*@example.com", "o'hara@sub.example.co.uk",
        "a" * 64 + "@example.com", "{x}|~@example.museum",
    ],
    "email-or-wildcard": ["ada@example.com", "*@localhost", "*suffix@example.com", "prefix*@example.com", "ada@*"],
    "username": ["ada", "a.b", "0day", "-x", "a=b:c_d", "ada@example.com", "ada@host"],
    "login-name": ["Ada", "Ada.Lovelace+x@Example.com"],
    "ip": ["127.0.0.1", "::1", "2001:db8::7", "::ffff:10.0.0.1"],
    "uri": ["https://example.com/a?b", "urn:x:y", "mailto:ada@example.com"],
    "target": ["ada@example.com", "smtp://mx.example.com:25", "smtps://u:p@10.0.0.1", "https://example.com/in",
               "smtp:x"],
    "smtp-uri": ["smtp://mx.example.com:25", "smtps://u:p@10.0.0.1", "smtp:x"],
    "sender-pattern": ["ada@example.com", "*@example.com", "team@*", "*example.com", "ada*"],
    "host-name": ["example.com", "localhost", "bücher.example"],
    "host-name-or-any": ["example.com", "*"],
    "host-name-or-ip": ["mail.example.com", "localhost", "10.0.0.1", "2001:db8::7"],
    "cursor": ["eyIkb2lkIjoiNWRmMWZkMmQ3NzkyNTExOGI2MDdjNjg0In0"],
    "metadata": ['{"a": 1}', " {} "],
}  # fmt: skip

BAD = {
    "email-address": [
        "", "ada", "@example.com", "ada@", "ada@example", "a..b@example.com", ".a@example.com", "a.@example.com",
        "a b@example.com", "ada@-x.example", "ada@x_y.example", "ada@example.7", '"a b"@example.com', "ada@[10.0.0.1]",
        "a@b@example.com", "ada@example.com ", "a" * 65 + "@example.com", "a@" + "x" * 64 + ".example",
        "ada@example.com\n", "ä" * 33 + "@example.com",
    ],
    "email-or-wildcard": ["ada", "* @example.com", "ada@", "*"],
    "username": ["", "Ada", "a..b", ".a", "a.", "a b", "a@b@c", "ä", "a" * 129, "a\n"],
    "login-name": ["", "a b", "@"],
    "ip": ["", "10.0.0.1/8", "256.1.1.1", "fe80::1%eth0", "localhost"],
    "uri": ["", "example.com", "http://a b", "https://host:port/"],
    "target": ["ada", "HTTPS://example.com", "ftp://example.com", "https://", "https://bü.example", "smtp://h:99999"],
    "smtp-uri": ["", "smtp:", "mx.example.com", "https://example.com", "smtp://h:99999", "smtp://[x"],
    "sender-pattern": ["", "ada", "a*b"],
    "host-name": ["", "-a.example", "a..b", "a b", "x" * 254],
    "host-name-or-ip": ["", "*.example.com", "a_b.example", "fe80::1%eth0", "example.com."],
    "host-name-or-any": ["", "*.example", "**", "a b"],
    "cursor": ["abc", "!!!", "bm90IGpzb24"],
    "metadata": ["", "[]", "null", "1", "{", '"x"'],
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in GOOD.items() for t in texts])
def test_taken(name: str, text: str) -> None:
    assert FORMATS[name](text)


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in BAD.items() for t in texts])
def test_refused(name: str, text: str) -> None:
    assert not FORMATS[name](text)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-01-31T10:20:30.123Z", datetime(2024, 1, 31, 10, 20, 30, 123000, UTC)),
        ("2024-01-31T12:20:30+02:00", datetime(2024, 1, 31, 10, 20, 30, tzinfo=UTC)),
        ("Wed, 31 Jan 2024 10:20:30 +0000", datetime(2024, 1, 31, 10, 20, 30, tzinfo=UTC)),
        ("1706696430123", datetime(2024, 1, 31, 10, 20, 30, 123000, UTC)),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_dates_are_read_as_utc(text: str, date: datetime) -> None:
    assert read_date(text) == date


@pytest.mark.parametrize(
    "text", ["", "soon", "2024-13-01", "99999999999999999999", "2024-02-30", "1706696430123456"]
)
def test_what_is_no_date(text: str) -> None:
    assert read_date(text) is None
