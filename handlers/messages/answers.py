"""Messages as the API shows them: rows of listings, safe HTML, attachments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from handlers.answers import Stream
from handlers.call import Answer, Call
from mail.charsets import decode as decode_charset
from mail.display import bimi_logo
from mail.listing import entry
from mail.parameters import safe_disposition, safe_type
from mail.sanitize import sanitize
from storage.addresses.bimi import logo_of
from storage.messages.documents import Message

_LARGE_HTML = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What the rows of a listing hold besides the usual."""

    meta_data: bool
    thread_counters: bool
    has_drafts: bool
    collapsed: bool
    headers: str | bool

    @property
    def with_headers(self) -> bool:
        """Return whether headers can be asked for at all."""
        return bool(self.headers) and str(self.headers).lower() not in ("false", "no", "off", "0", "n")

    @property
    def header_names(self) -> bool | frozenset[str]:
        """True for all headers, else the names of a comma-separated list."""
        if (
            not self.with_headers
            or self.headers is True
            or str(self.headers).lower() in ("true", "yes", "on", "1", "y")
        ):
            return self.with_headers
        return frozenset(name.strip().lower() for name in str(self.headers).split(","))


def rows(call: Call, user: ObjectId, messages: Sequence[Message], options: Rows) -> list[Answer]:
    """The rows of messages; what lies outside of them is read in one query for all rows."""
    answers = [
        entry(message, with_meta_data=options.meta_data, with_headers=options.header_names)
        for message in messages
    ]
    add_logos(call, messages, answers)
    threads = [message["thread"] for message in messages]
    if options.thread_counters and threads:
        counts = call.store.messages.thread_counts(user, threads)
        for row in answers:
            row["threadMessageCount"] = counts.get(row["thread"], 0)
    if options.has_drafts and threads:
        _add_drafts(call, user, answers, threads, collapsed=options.collapsed)
    return answers


def add_logos(call: Call, messages: Sequence[Message], answers: list[Answer]) -> None:
    """Add `bimi` to the rows of messages whose senders have a logo."""
    logos = call.store.bimi.of(messages)
    for message, row in zip(messages, answers, strict=True):
        if (logo_id := logo_of(message)) in logos:
            row["bimi"] = bimi_logo(logos[logo_id])


def _add_drafts(
    call: Call, user: ObjectId, answers: list[Answer], threads: list[ObjectId], *, collapsed: bool
) -> None:
    drafts = call.store.messages.drafts_of(user, threads)
    with_draft = {draft["thread"] for draft in drafts}
    answered = {str(draft["mimeTree"].get("parsedHeader", {}).get("in-reply-to")) for draft in drafts}
    for row in answers:
        row["hasDrafts"] = row["thread"] in with_draft if collapsed else row["messageId"] in answered


def safe_html(call: Call, parts: list[str]) -> list[str]:
    """HTML that is safe to show. Large parts are sanitized where that does not stall other requests."""
    if sum(map(len, parts)) < _LARGE_HTML:
        return [sanitize(part) for part in parts]
    return [call.offload(sanitize, part) for part in parts]


def attachment_stream(call: Call, message: Message, attachment: str, *, as_text: bool) -> Stream:
    """The content of an attachment; with `as_text` a text is converted to UTF-8."""
    declared, disposition, chunks = call.store.messages.attachment(message, attachment)
    kind = safe_type(declared)
    name = next((a["filename"] for a in message.get("attachments") or () if a["id"] == attachment), "")
    headers = {"Content-Disposition": safe_disposition(kind, disposition, name or attachment)}
    if as_text and kind.startswith("text/"):
        charset = _charset(message["mimeTree"], attachment)
        chunks = iter([decode_charset(b"".join(chunks), charset).encode()])
        kind += "; charset=utf-8"
    return Stream(chunks, kind, headers)


def _charset(node: Mapping[str, Any], attachment: str) -> str:
    if node.get("attachmentId") == attachment:
        return str(node["parsedHeader"]["content-type"]["params"].get("charset") or "")
    children = [*node.get("childNodes", ()), *([node["message"]] if node.get("message") else [])]
    return next((charset for child in children if (charset := _charset(child, attachment))), "")
