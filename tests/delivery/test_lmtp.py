"""LMTP conversations: what is offered, each reply code, hostile clients."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

RAW = b"From: Grace <grace@example.org>\r\nTo: ada@example.com\r\nSubject: Hello\r\n\r\nDear Ada\r\n"


def test_a_message_is_stored_and_acknowledged(
    lmtp: Any, inboxes: Any, make_user: Callable[..., ObjectId]
) -> None:
    user = make_user()
    (reply,) = lmtp.send(RAW, "ada@example.com")
    (message,) = inboxes.messages(user, "INBOX")
    assert reply == f"250 2.1.5 Message stored as {message['_id']}"
    source = inboxes.source(message)
    print(source.decode(), message)
    assert source.endswith(RAW)


def test_smtplib_is_content(lmtp: Any, inboxes: Any, make_user: Callable[..., ObjectId]) -> None:
    user = make_user()
    with lmtp.client() as client:
        assert client.sendmail("grace@example.org", ["ada@example.com", "nobody@example.com"], RAW) == {
            "nobody@example.com": (550, b"5.1.1 Unknown recipient")
        }
    assert len(inboxes.messages(user)) == 1
