"""A message as a row of a listing, and as events about it show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mail.custom_data import custom_data
from mail.encrypted import is_encrypted
from mail.headers import HeaderAddress, ParsedHeader, decoded_addresses

EVENT_FIELDS = dict.fromkeys(
    (
        "uid", "mailbox", "thread", "msgid", "subject", "idate", "verificationResults", "mimeTree.parsedHeader.from",
        "mimeTree.parsedHeader.sender", "mimeTree.parsedHeader.to", "mimeTree.parsedHeader.cc",
        "mimeTree.parsedHeader.bcc",
    ),
    1,
)  # fmt: skip
_NOBODY = {"name": "", "address": ""}


def entry(
    message: Mapping[str, Any], *, with_meta_data: bool = False, with_headers: bool | frozenset[str] = False
) -> dict[str, Any]:
    """The row of a stored message; `with_headers` True for all parsed headers, or the names wanted."""
    headers = message["mimeTree"].get("parsedHeader") or {}
    row: dict[str, Any] = {
        "id": message["uid"],
        "mailbox": message["mailbox"],
        "thread": message["thread"],
        **({"from": sender} if (sender := sender_of(message)) else {}),
        "to": decoded_addresses(headers.get("to") or ()),
        "cc": decoded_addresses(headers.get("cc") or ()),
        "bcc": decoded_addresses(headers.get("bcc") or ()),
        "messageId": message["msgid"],
        "subject": message.get("subject") or "",
        "date": message.get("hdate"),
        "idate": message.get("idate"),
        "intro": message.get("intro") or "",
        "attachments": bool(message.get("ha")),
        "attachmentsList": attachments_of(message),
        "size": message["size"],
        **flags_of(message),
        "references": references_of(headers),
        "contentType": content_type_of(headers),
    }
    if is_encrypted(headers):
        row["encrypted"] = True
    custom = (message.get("meta") or {}).get("custom")
    if with_meta_data and custom:
        row["metaData"] = custom_data(custom)
    if with_headers:
        row["headers"] = _chosen(headers, with_headers)
    return row


def flags_of(message: Mapping[str, Any]) -> dict[str, bool]:
    """The flags that the API shows.

    Read from `flags` itself: of several set at once, WildDuck's IMAP server sets only the last one's boolean, too.
    """
    flags = message.get("flags") or ()
    forwarded = "$Forwarded" in flags
    return {
        "seen": "\\Seen" in flags,
        "deleted": "\\Deleted" in flags,
        "flagged": "\\Flagged" in flags,
        "draft": "\\Draft" in flags,
        "answered": "\\Answered" in flags and not forwarded,
        "forwarded": forwarded,
    }


def sender_of(message: Mapping[str, Any]) -> HeaderAddress | None:
    """The first From, else the first Sender, else the envelope's; None where From holds no address."""
    headers = message["mimeTree"].get("parsedHeader") or {}
    given = headers.get("from") if "from" in headers else headers.get("sender")
    if given is None:
        return {"name": "", "address": (message.get("meta") or {}).get("from") or ""}
    found = decoded_addresses(given)
    return next((item for item in found if "group" not in item), None)


def attachments_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The attachments, each with the hash of its encoded body."""
    files = message["mimeTree"].get("attachmentMap") or {}
    return [
        {
            **attachment,
            **({"hash": bytes(files[attachment["id"]]).hex()} if attachment["id"] in files else {}),
        }
        for attachment in message.get("attachments") or ()
    ]


def references_of(headers: ParsedHeader) -> list[str]:
    """The Message-IDs of the last References header."""
    value = headers.get("references")
    last = value[-1] if isinstance(value, list) and value else value
    return str(last or "").split()


def content_type_of(headers: ParsedHeader) -> dict[str, Any]:
    """`{value, params}`."""
    kind = headers.get("content-type") or {}
    return {"value": kind.get("value") or "text/plain", "params": kind.get("params") or {}}


def _chosen(headers: ParsedHeader, selected: bool | frozenset[str]) -> ParsedHeader:
    names = headers if selected is True else [name for name in headers if name in (selected or ())]
    return {name: headers[name] for name in names}


def event_fields(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an event about a stored message, of which `EVENT_FIELDS` are needed."""
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
