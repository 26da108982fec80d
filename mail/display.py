"""A message as it is read: all parts, HTML made safe to show."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mail.custom_data import custom_data
from mail.encrypted import is_encrypted
from mail.headers import HeaderAddress, addresses, decoded_addresses
from mail.listing import (
    attachments_of,
    content_type_of,
    flags_of,
    references_of,
    sender_of,
)

_LINK = re.compile(r"attachment:(?:[0-9a-f]{24}/)?(ATT\d+)")
_BARE_URI = re.compile(r"(?<![^\s,])([a-z][a-z0-9+.\-]*:[^\s<>\",;]+)(?![^\s,])", re.I)
_LAST_MOMENT = 253_402_300_799_000  # of the year 9999
_DOTS_AND_LABEL = re.compile(r"\+.*$")
_CERTIFICATES = ("VMC", "CMC")  # of a logo: verified mark, common mark


def replace_links(parts: Iterable[str], prefix: str) -> list[str]:
    """HTML whose links to attachments point below `prefix`."""
    return [_LINK.sub(rf"{prefix}/attachments/\1", part) for part in parts]


def shown(message: Mapping[str, Any], html: list[str]) -> dict[str, Any]:
    """A stored message as the API shows it, with `html` already made safe."""
    headers = message["mimeTree"].get("parsedHeader") or {}
    meta = message.get("meta") or {}
    answer: dict[str, Any] = {
        "id": message["uid"],
        "mailbox": message["mailbox"],
        "thread": message["thread"],
        "user": message["user"],
        "envelope": _envelope(meta),
        **({"from": sender} if (sender := sender_of(message)) else {}),
        **_recipients(headers),
        "messageId": message["msgid"],
        "subject": message.get("subject") or "",
        "date": message.get("hdate"),
        "idate": message.get("idate"),
        "size": message["size"],
        **flags_of(message),
        "text": (message.get("text") or "") + (message.get("textFooter") or ""),
        "attachments": attachments_of(message),
        "references": references_of(headers),
        "metaData": custom_data(meta.get("custom") or ""),
        "contentType": content_type_of(headers),
    }
    return answer | _optional(message, headers, meta, html)


def _recipients(headers: Mapping[str, Any]) -> dict[str, Any]:
    names = {"reply-to": "replyTo", "to": "to", "cc": "cc", "bcc": "bcc"}
    return {shown: decoded_addresses(headers[name]) for name, shown in names.items() if name in headers}


def _optional(
    message: Mapping[str, Any], headers: Mapping[str, Any], meta: Mapping[str, Any], html: list[str]
) -> dict[str, Any]:
    """What is left out where there is nothing."""
    results = {k: v for k, v in (message.get("verificationResults") or {}).items() if k != "bimi"}
    found: dict[str, Any] = {
        "html": html if message.get("html") else None,
        "list": _list(headers),
        "expires": _expires(message),
        "forwardTargets": message.get("forwardTargets"),
        "files": meta.get("files"),
        "verificationResults": results,
        "reference": meta.get("reference"),
        "encrypted": is_encrypted(headers),
    }
    return {name: value for name, value in found.items() if value}


def _expires(message: Mapping[str, Any]) -> datetime | None:
    if not message.get("exp") or not message.get("rdate"):
        return None
    return datetime.fromtimestamp(min(message["rdate"], _LAST_MOMENT) / 1000, UTC)


def _envelope(meta: Mapping[str, Any]) -> dict[str, Any]:
    to = meta.get("to") or []
    given = [text.strip() for text in (to if isinstance(to, list) else [to]) if text and text.strip()]
    return {
        "from": meta.get("from") or "",
        "rcpt": [{"value": text, "formatted": _formatted(text)} for text in given],
    }


def _formatted(address: str) -> str:
    local, at, domain = address.lower().rpartition("@")
    if not at:
        return address.lower()
    plain = _DOTS_AND_LABEL.sub("", local).replace(".", "")
    return str(decoded_addresses([{"address": f"{plain}@{domain}"}])[0]["address"])


def _list(headers: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of a mailing list (RFC 2919, RFC 2369)."""
    found = {
        "id": _first(headers.get("list-id")),
        "unsubscribe": _urls(headers.get("list-unsubscribe")),
    }
    return {name: value for name, value in found.items() if value} or None


def _last(value: Any) -> str:
    return str((value[-1] if isinstance(value, list) else value) or "")


def _first(value: Any) -> HeaderAddress | None:
    return next(iter(_urls(value)), None)


def _urls(value: Any) -> list[HeaderAddress]:
    """What stands in angles; a URI may stand there bare, whose scheme would be read as the name of a group."""
    if not value:
        return []
    found = decoded_addresses(addresses(_BARE_URI.sub(r"<\1>", _last(value))))
    return [
        entry if entry.get("address") else {"name": "", "address": entry["name"]}
        for entry in found
        if "group" not in entry
    ]


def bimi_logo(indicator: Mapping[str, Any]) -> dict[str, Any]:
    """`{certified, url, image}`, and the `type` of the certificate where there is one; `image` is SVG."""
    certified = indicator.get("type") == "authority"
    kind = (indicator.get("vmc") or {}).get("type")
    return {
        "certified": certified,
        "url": str(indicator.get("url") or ""),
        "image": f"data:image/svg+xml;base64,{b64encode(indicator['content']).decode()}",
        **({"type": kind if kind in _CERTIFICATES else _CERTIFICATES[0]} if certified else {}),
    }
