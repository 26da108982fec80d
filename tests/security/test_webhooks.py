"""Signatures of webhooks, against the example of the specification's own library and by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
import standardwebhooks

from security.webhooks import hook_secret, signature


def test_the_library_finds_the_same_signature() -> None:
    from datetime import UTC, datetime

    secret, body = hook_secret("s", "a" * 24), '{"path":"Wörk"}'
    theirs = standardwebhooks.Webhook(secret).sign("id:1", datetime.fromtimestamp(1_700_000_000, UTC), body)
    assert signature(secret, "id:1", 1_700_000_000, body.encode()) == theirs


def test_the_signature_by_hand() -> None:
    key = base64.b64decode(hook_secret("s", "hook")[len("whsec_") :])
    assert key == hmac.new(b"s", b"webhook hook", hashlib.sha256).digest()
    expected = hmac.new(key, b"id:1.5.{}", hashlib.sha256).digest()
    assert (
        signature(hook_secret("s", "hook"), "id:1", 5, b"{}") == "v1," + base64.b64encode(expected).decode()
    )


@pytest.mark.parametrize("other", [("t", "hook"), ("s", "hooks"), ("", "hook")])
def test_each_hook_and_service_has_a_secret_of_its_own(other: tuple[str, str]) -> None:
    assert hook_secret(*other) != hook_secret("s", "hook")
