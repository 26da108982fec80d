"""A message as events about it have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mail.headers import decoded_addresses

FIELDS = dict.fromkeys(
    (
        "uid", "mailbox", "thread", "msgid", "subject", "idate", "verificationResults", "mimeTree.parsedHeader.from",
        "mimeTree.parsedHeader.sender", "mimeTree.parsedHeader.to", "mimeTree.parsedHeader.cc",
        "mimeTree.parsedHeader.bcc",
    ),
    1,
)  # fmt: skip
_NOBODY = {"name": "", "address": ""}


def of_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event about a stored message, of which `FIELDS` are needed."""
    headers = message["mimeTree"].get("parsedHeader") or {}
    people = {
        name: decoded_addresses(headers.get(name) or ()) for name in ("from", "sender", "to", "cc", "bcc")
    }
    senders = [person for person in people.pop("from") + people.pop("sender") if "group" not in person]
    results = {k: v for k, v in (message.get("verificationResults") or {}).items() if k != "bimi"}
    return {
        "mailbox": message["mailbox"],
        "message": message["uid"],
        "thread": message["thread"],
        "from": senders[0] if senders else _NOBODY,
        **{name: found for name, found in people.items() if found},
        "messageId": message["msgid"],
        "subject": message.get("subject") or "",
        "date": message["idate"],
        **({"verificationResults": results} if results else {}),
    }
