"""Authentication-Results of an MTA of ours."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.inbound.verification import from_fields
from tests.rows import Row


def found(*texts: str, own: str = "mx.example.net") -> Row | None:
    return from_fields([("authentication-results", text) for text in texts], own)


def test_all_methods() -> None:
    text = (
        "MX.example.net 1;\r\n\tdkim=pass (2048-bit key; unprotected) header.d=Example.ORG header.i=@example.org"
        ' header.b="a;b=c";\r\n\tspf=pass (sender (really) ok) smtp.mailfrom=bounce@mail.example.org;\r\n'
        "\tdmarc=pass (p=REJECT sp=none) header.from=example.org"
    )
    assert found(text) == {
        "spf": "mail.example.org",
        "dkim": "example.org",
        "dmarc": {"domain": "example.org", "policy": "reject"},
    }


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("mx.example.net; none", {"spf": False, "dkim": False}),
        ("mx.example.net; spf=fail smtp.mailfrom=a@b.example", {"spf": False, "dkim": False}),
        ("mx.example.net; spf=pass smtp.helo=h.example", {"spf": "h.example", "dkim": False}),
        ("mx.example.net; dkim=fail header.d=a.example; dkim=pass header.d=b.example",
         {"spf": False, "dkim": "b.example"}),
        ("mx.example.net; dkim/1=pass header.i=@c.example", {"spf": False, "dkim": "c.example"}),
        ("mx.example.net; dmarc=fail policy.dmarc=quarantine header.from=a.example",
         {"spf": False, "dkim": False, "dmarc": {"domain": False, "policy": "quarantine"}}),
        ("mx.example.net; dmarc=none", {"spf": False, "dkim": False, "dmarc": {"domain": False, "policy": "none"}}),
        ("mx.example.net; spf=pass (smtp.mailfrom=evil.example)", {"spf": False, "dkim": False}),
        ('mx.example.net; spf=fail reason="x; spf=pass smtp.mailfrom=e@evil.example"', {"spf": False, "dkim": False}),
        ("mx.example.net; ; = ; a=; (((", {"spf": False, "dkim": False}),
    ],
)  # fmt: skip
def test_results(text: str, result: dict[str, Any]) -> None:
    assert found(text) == result


def test_only_fields_of_the_own_id_count_and_the_topmost_first() -> None:
    forged = "evil.example; spf=pass smtp.mailfrom=bank.example"
    assert found(forged) is None
    assert found() is None
    lower = "mx.example.net; spf=pass smtp.mailfrom=bank.example"
    assert found("mx.example.net; spf=fail smtp.mailfrom=bank.example", forged, lower) == {
        "spf": False,
        "dkim": False,
    }
