"""What MAIL and RCPT name."""

from __future__ import annotations

import pytest

from delivery.inbound.syntax import Path, read_path


@pytest.mark.parametrize(
    ("argument", "address", "parameters"),
    [
        ("FROM:<ada@example.com>", "ada@example.com", {}),
        ("from: <ada@example.com> size=10 SMTPUTF8", "ada@example.com", {"SIZE": "10", "SMTPUTF8": ""}),
        ("FROM:<> BODY=8bitmime", "", {"BODY": "8BITMIME"}),
        ("FROM:<@a.example,@b.example:ada@example.com>", "ada@example.com", {}),
        ('FROM:<"ada"@example.com>', "ada@example.com", {}),
        ('FROM:<"a\\d\\a"@example.com>', "ada@example.com", {}),
        ('FROM:<"ada love"@example.com>', '"ada love"@example.com', {}),
        ('FROM:<"a@b"@example.com>', '"a@b"@example.com', {}),
        ("FROM:<ada+x.y@[192.0.2.1]>", "ada+x.y@[192.0.2.1]", {}),
        ("FROM:<ada@[IPv6:2001:db8::1]>", "ada@[IPv6:2001:db8::1]", {}),
        ("FROM:<Postmaster>", "Postmaster", {}),
        ("FROM:<дж@пример.рф>", "дж@пример.рф", {}),
        ("FROM:<*@example.com>", "*@example.com", {}),
    ],
)  # fmt: skip
def test_paths(argument: str, address: str, parameters: dict[str, str]) -> None:
    assert read_path("FROM:", argument) == Path(address, parameters)


@pytest.mark.parametrize(
    "argument",
    [
        None, "", "FROM", "FROM:", "FROM:ada@example.com", "FROM:<ada>", "FROM:<ada@>", "FROM:<@example.com>",
        "FROM:<ada@example.com", "FROM:<ada@example.com>x", "FROM:<a b@example.com>", "FROM:<ada@exa mple.com>",
        "FROM:<ada@example.com\x00>", "FROM:<a\r\nb@example.com>", "FROM:<ada@a@b>", "FROM:<ada@example.com> SIZE=",
        "FROM:<ada@example.com> =1", "FROM:<ada@example.com> X=\x07", "FROM:<\udcff@example.com>",
        "FROM:<<ada@example.com>>", "FROM:<ada(c)@example.com>", "TO:<ada@example.com>",
        "FROM:<" + "a" * 2000 + "@b.c>",
    ],
)  # fmt: skip
def test_what_is_no_path(argument: str | None) -> None:
    assert read_path("FROM:", argument) is None
