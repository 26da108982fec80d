"""What people and searches see of a message: text, HTML, attachments, a preview; and which bodies are stored apart."""

from __future__ import annotations

import hashlib
import mimetypes
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict

from mail.attachment import Buffer, decode, decode_exactly
from mail.charsets import decode as decode_charset
from mail.html import html_to_text, text_to_html
from mail.mime_tree import LARGEST_COPY, Node
from mail.parameters import file_name

LARGEST_INLINE = LARGEST_COPY
MOST_INLINE = 4 * 1024 * 1024
_TEXT_INDEXED, _TEXT_FOOTER = 1024, 101_376
_MOST_HTML = 655_360
_MOST_READ = 8 * 1024 * 1024
_INTRO_SOURCE, _INTRO = 2048, 128

_TEXT_TYPES = frozenset({"text/plain", "text/html", "text/rfc822-headers", "message/delivery-status"})
_CID = re.compile(r"\bcid:([^\s'\"<>]+)")
_BRACKETED = re.compile(r"\[[^\[\]]*\]")
_QUOTED_LINE = re.compile(r"^\s*>.*$", re.M)
_RULE_LINE = re.compile(r"^\s*(\S)\1+\s*$", re.M)
_SPACES = re.compile(r"\s+")
_FLOWED_BREAK = re.compile(r" \n(?!>|-- \n)")


@dataclass(frozen=True, slots=True)
class Body:
    """A part's body that is stored apart, once per content.

    `hash` is SHA-256 of the encoded body as it stands in the tree. `content` is what is stored: decoded base64
    where `line_length` says how to make the same text again, else the encoded body. `content_hash` is SHA-256 of it.
    """

    id: str
    hash: bytes
    content: Buffer
    content_hash: bytes
    content_type: str
    transfer_encoding: str
    encoded_size: int
    line_length: int | None


class AttachmentInfo(TypedDict):
    """An attachment as a stored message lists it."""

    id: str  # `ATT00001`
    filename: str
    contentType: str
    disposition: str | Literal[False]  # False without a Content-Disposition
    transferEncoding: str
    cid: str | None  # the Content-ID
    related: bool  # within a multipart/related, so a picture of the text
    sizeKb: int  # decoded
    size: int  # encoded, in bytes
    fileContentHash: NotRequired[str]  # base64 of SHA-256 of the stored content, where it is known


class TextFields(TypedDict, total=False):
    """The text of a message as it is stored; empty fields are left out."""

    text: str  # what the text index reads
    textFooter: str  # what follows it
    html: list[str]
    intro: str  # the first words, for listings


@dataclass(slots=True)
class Content:
    """What `extract` finds."""

    text: str = ""
    html: list[str] = field(default_factory=list)
    attachments: list[AttachmentInfo] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)


def extract(root: Node) -> Content:
    """Text, HTML and attachments of a tree. Bodies to be stored apart are taken out of it."""
    walk = _Walk()
    walk.visit(root, alternative=False, related=False)
    _own_bodies(root)
    links = {a["cid"].strip("<>"): a["id"] for a in walk.content.attachments if a["cid"]}
    walk.content.html = [_with_links(part, links) for part in walk.html if part.strip()]
    walk.content.text = _with_links("\n".join(t for t in walk.texts if t.strip()), links)
    walk.content.text = walk.content.text.replace("\r\n", "\n").strip()
    return walk.content


def stored_apart(body_id: str, encoded: Buffer, content_type: str, transfer_encoding: str) -> Body:
    """A body as it is stored: decoded where nothing is lost by it."""
    decoded = decode_exactly(encoded) if transfer_encoding == "base64" else None
    content, line_length = decoded or (encoded, None)
    digest = hashlib.sha256(encoded).digest()
    content_hash = hashlib.sha256(content).digest() if decoded else digest
    size = len(encoded)
    return Body(body_id, digest, content, content_hash, content_type, transfer_encoding, size, line_length)


def _own_bodies(node: Node) -> None:
    """What stays in the tree is no view of the source."""
    if isinstance(node["body"], memoryview):
        node["body"] = bytes(node["body"])
    for child in (*node.get("childNodes", ()), *([node["message"]] if node.get("message") else [])):
        _own_bodies(child)


class _Walk:
    def __init__(self) -> None:
        self.content = Content()
        self.texts: list[str] = []
        self.html: list[str] = []
        self._inline = 0

    def visit(self, node: Node, *, alternative: bool, related: bool) -> None:
        kind = content_type_of(node)
        alternative = alternative or kind == "multipart/alternative"
        related = related or kind == "multipart/related"
        if node["multipart"]:
            for child in node.get("childNodes", ()):
                self.visit(child, alternative=alternative, related=related)
            return
        if node["body"]:
            self._leaf(node, kind, alternative=alternative, related=related)
        message = node.get("message")
        if message and message["multipart"]:
            for child in message.get("childNodes", ()):
                self.visit(child, alternative=alternative, related=related)
        elif message:
            self._keep_unseen(message)

    def _keep_unseen(self, node: Node) -> None:
        """Bodies that nobody is shown, as what holds them is shown; for the tree they are too large all the same."""
        for child in (*node.get("childNodes", ()), *([node["message"]] if node.get("message") else [])):
            self._keep_unseen(child)
        if not node["multipart"] and node["body"]:
            self._inline += node["size"]
            if self._is_too_much(node):
                self._move_out(node, content_type_of(node))

    def _is_too_much(self, node: Node) -> bool:
        return bool(node["size"] > LARGEST_INLINE or self._inline > MOST_INLINE)

    def _leaf(self, node: Node, kind: str, *, alternative: bool, related: bool) -> None:
        is_text = kind in _TEXT_TYPES and disposition_of(node) in ("", "inline")
        if is_text:
            self._read_text(node, kind, alternative=alternative)
        self._inline += node["size"] if is_text else 0
        if not is_text or self._is_too_much(node):
            body = self._move_out(node, kind)
            if not is_text:
                self.content.attachments.append(_attachment(node, body, related=related))

    def _read_text(self, node: Node, kind: str, *, alternative: bool) -> None:
        params = node["parsedHeader"]["content-type"]["params"]
        encoded = bytes((node["body"] or b"")[:_MOST_READ])
        text = decode_charset(decode(encoded, encoding_of(node)), str(params.get("charset", "")))
        text = text.replace("\0", "\ufffd")
        if str(params.get("format", "")).lower() == "flowed":
            text = unwrap(text, delsp=str(params.get("delsp", "")).lower() == "yes")
        if kind == "text/html":
            self.html.append(text)
            if not alternative:
                self.texts.append(html_to_text(text))
            return
        self.texts.append(text)
        if not alternative:
            self.html.append(text_to_html(text[:_MOST_HTML]))

    def _move_out(self, node: Node, kind: str) -> Body:
        body = stored_apart(
            f"ATT{len(self.content.bodies) + 1:05d}", node["body"] or b"", kind, encoding_of(node)
        )
        self.content.bodies.append(body)
        node["body"] = False
        node["attachmentId"] = body.id
        return body


def content_type_of(node: Node) -> str:
    """The media type in lower case."""
    return str(node["parsedHeader"]["content-type"]["value"]).strip().lower() or "application/octet-stream"


def disposition_of(node: Node) -> str:
    """`inline`, `attachment` or what else is declared, in lower case; empty without one."""
    return str((node["parsedHeader"].get("content-disposition") or {}).get("value", "")).strip().lower()


def encoding_of(node: Node) -> str:
    """The transfer encoding in lower case, 7bit by default."""
    return str(node["parsedHeader"].get("content-transfer-encoding", "")).strip().lower() or "7bit"


def _attachment(node: Node, body: Body, *, related: bool) -> AttachmentInfo:
    parsed = node["parsedHeader"]
    kind = body.content_type
    name = file_name(parsed.get("content-disposition"), parsed["content-type"])
    extension = mimetypes.guess_extension(kind) or ".bin"
    decoded = -(-(node["size"] - 2 * (node["size"] // 78)) * 3 // 4)
    size = decoded if body.transfer_encoding == "base64" else node["size"]
    return {
        "id": body.id,
        "filename": name[:1024] or secrets.token_hex(4) + extension,
        "contentType": kind,
        "disposition": disposition_of(node) or False,
        "transferEncoding": body.transfer_encoding,
        "cid": str(parsed["content-id"]).strip() if parsed.get("content-id") else None,
        "related": related,
        "sizeKb": -(-size // 1024),
        "size": node["size"],
    }


def unwrap(text: str, *, delsp: bool) -> str:
    """Text of `format=flowed` with its soft line breaks undone (RFC 3676 §4)."""
    text = text.replace("\r\n", "\n")
    return _FLOWED_BREAK.sub("" if delsp else " ", text)


def _with_links(text: str, links: dict[str, str]) -> str:
    if not links:
        return text
    return _CID.sub(lambda m: f"attachment:{links[m[1]]}" if m[1] in links else m[0], text)


def text_fields(content: Content) -> TextFields:
    """`text`, `textFooter`, `html` and `intro` as they are stored, those that are empty left out."""
    fields: TextFields = {}
    if content.text:
        fields["text"] = content.text[:_TEXT_INDEXED]
        if footer := content.text[_TEXT_INDEXED : _TEXT_INDEXED + _TEXT_FOOTER]:
            fields["textFooter"] = footer
    if html := list(_bounded(content.html)):
        fields["html"] = html
    if intro := _intro(content):
        fields["intro"] = intro
    return fields


def _bounded(parts: list[str]) -> Iterator[str]:
    room = _MOST_HTML
    for part in parts:
        if room <= 0:
            return
        yield part[:_MOST_HTML]
        room -= len(part.encode())


def _intro(content: Content) -> str:
    text = html_to_text("\n".join(content.html)[:_MOST_HTML]) if content.html else content.text
    text = _BRACKETED.sub(" ", text[:_INTRO_SOURCE])
    text = _RULE_LINE.sub("", _QUOTED_LINE.sub("", text))
    text = _SPACES.sub(" ", text).strip()
    if len(text) <= _INTRO:
        return text
    return (text[:_INTRO].rpartition(" ")[0] or text[:_INTRO]) + "…"
