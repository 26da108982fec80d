"""Forwarding targets as they are compared and shown."""

from __future__ import annotations

import pytest

from security.targets import same_target, without_password


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("smtp://u:p%40ss@mx.example:25", "smtp://u:***@mx.example:25"),
        ("smtps://u@x.example:p:q@r@mx.example/p:q@r", "smtps://u@x.example:***@mx.example/p:q@r"),
        ("smtps://u:p:q@r@mx.example/p:q@r", "smtps://u:***@mx.example/p:q@r"),
        ("https://:secret@x.example/", "https://:***@x.example/"),
        ("smtp:u:secret@mx.example", "smtp:u:***@mx.example"),
        ("https://x.example:443/in?a=b:c@d", "https://x.example:443/in?a=b:c@d"),
        ("https://x.example/a:b@c", "https://x.example/a:b@c"),
        ("smtp://u@mx.example", "smtp://u@mx.example"),
        ("ada@example.com", "ada@example.com"),
    ],
)
def test_passwords_are_masked(value: str, shown: str) -> None:
    assert without_password(value) == shown


def test_what_is_the_same() -> None:
    assert same_target("Ada@BÜCHER.example") == same_target("ada@xn--bcher-kva.example")
    assert same_target("https://X.example/A") != same_target("https://x.example/a")
