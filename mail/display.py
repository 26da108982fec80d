"""A message as it is read: all parts, HTML made safe to show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import nh3

from mail.custom_data import custom_data
from mail.headers import addresses, decoded_addresses
from mail.html import html_to_text, text_to_html
from mail.listing import (
    attachments_of,
    content_type_of,
    flags_of,
    is_encrypted,
    references_of,
    sender_of,
)
from mail.nesting import is_regular

_TAGS = nh3.ALLOWED_TAGS | {"font", "center", "u", "main", "section", "wbr"}
_ATTRIBUTES = {
    **{tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()},
    "*": {"style", "class", "dir", "lang", "title", "align", "valign", "bgcolor", "color", "width", "height"},
    "font": {"face", "size", "color"},
    "img": {"src", "alt", "width", "height", "border"},
    "table": {"border", "cellpadding", "cellspacing", "width", "summary"},
    "td": {"colspan", "rowspan", "nowrap"},
    "th": {"colspan", "rowspan", "nowrap", "scope"},
}
_STYLES = {
    "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left", "border-radius",
    "border-right", "border-spacing", "border-style", "border-top", "border-width", "color", "direction", "display",
    "font", "font-family", "font-size", "font-style", "font-weight", "height", "letter-spacing", "line-height",
    "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right", "margin-top", "max-height",
    "max-width", "min-height", "min-width", "padding", "padding-bottom", "padding-left", "padding-right",
    "padding-top", "text-align", "text-decoration", "text-indent", "text-transform", "vertical-align", "white-space",
    "width", "word-break", "word-wrap",
}  # fmt: skip
_SCHEMES = {"http", "https", "mailto", "tel", "cid", "attachment", "data"}
_SAFE_DATA = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]*", re.I)
_IGNORED_IN_URLS = re.compile(r"[\x00-\x20]+")
_ACTIVE_STYLE = re.compile(r"url|expression|import|behavior|binding|javascript|[\\@<>{}]|/\*", re.I)
_LINK = re.compile(r"attachment:(?:[0-9a-f]{24}/)?(ATT\d+)")
_BARE_URI = re.compile(r"(?<![^\s,])([a-z][a-z0-9+.\-]*:[^\s<>\",;]+)(?![^\s,])", re.I)
_LAST_MOMENT = 253_402_300_799_000  # of the year 9999
_DOTS_AND_LABEL = re.compile(r"\+.*$")


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Data URLs only as pictures of formats that hold no program; styles that load and run nothing.

    Browsers pass over white space and control characters in front of a URL, and line breaks within its scheme.
    """
    if name == "style":
        return _passive(value) or None
    bare = _IGNORED_IN_URLS.sub("", value[:1000]).lower()
    if bare.startswith("data:") and not (
        tag == "img" and name == "src" and _SAFE_DATA.fullmatch(value.strip())
    ):
        return None
    if name == "cite" and not bare.startswith(("http:", "https:")):
        return None
    return value


def _passive(style: str) -> str:
    """The declarations without functions that load or run something, and without escapes that could hide one."""
    return ";".join(part for part in style.split(";") if not _ACTIVE_STYLE.search(part))


_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    attribute_filter=_attribute,
    clean_content_tags={
        "script",
        "style",
        "title",
        "template",
        "noscript",
        "svg",
        "math",
        "iframe",
        "object",
    },
    filter_style_properties=_STYLES,
    url_schemes=_SCHEMES,
    link_rel="noopener noreferrer nofollow",
    strip_comments=True,
)


def sanitize(html: str) -> str:
    """HTML of which a browser runs nothing: no script, no handlers, no frames, no style sheets.

    Large markup that is nested as nobody writes it is shown as text, see `mail.nesting`.
    """
    return _CLEANER.clean(html if is_regular(html) else text_to_html(html_to_text(html)))


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


def _first(value: Any) -> dict[str, Any] | None:
    return next(iter(_urls(value)), None)


def _urls(value: Any) -> list[dict[str, Any]]:
    """What stands in angles; a URI may stand there bare, whose scheme would be read as the name of a group."""
    if not value:
        return []
    found = decoded_addresses(addresses(_BARE_URI.sub(r"<\1>", _last(value))))
    return [
        entry if entry.get("address") else {"name": "", "address": entry["name"]}
        for entry in found
        if "group" not in entry
    ]
