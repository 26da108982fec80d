"""A message's bytes → everything that is stored of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Required

from mail import source
from mail.attachment import cut, is_made_of
from mail.content import AttachmentInfo, Body, TextFields, encoding_of, extract, stored_apart, text_fields
from mail.headers import indexed, read_date, subject_text
from mail.imap import bodystructure, envelope
from mail.mime_tree import Node, Parsed, normalize, parse
from mail.mime_tree import sparing as sparing_budget
from mail.source import Layout
from mail.threads import normalize_subject, thread_ids

WHOLE = "SOURCE"
_LARGEST_LAYOUT = 512 * 1024
_LONGEST_SUBJECT = 16_384


class IndexedFields(TextFields, total=False):
    """The fields of a stored message that follow from its bytes alone."""

    envelope: Required[list[Any]]  # ENVELOPE of IMAP
    bodystructure: Required[list[Any]]  # BODYSTRUCTURE of IMAP
    mimeTree: Required[Node]
    size: Required[int]  # as IMAP counts it
    hdate: Required[datetime]  # of the header, else when it came
    msgid: Required[str]  # with its angle brackets
    subject: Required[str]
    headers: Required[list[dict[str, str]]]  # `{key, value}`, those that searches look at
    ha: Required[bool]  # whether it has attachments other than pictures of its text
    attachments: list[AttachmentInfo]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What is stored of a message.

    `layout` is None where the tree alone gives the source back, see `mail.source`.
    """

    document: IndexedFields
    bodies: tuple[Body, ...]
    thread_subject: str
    thread_ids: list[str]
    layout: Layout | None


def index(raw: bytes, received: datetime, *, sparing: bool = False) -> Indexed:
    """Index any bytes; never fails. `received` stands in for a Date that is missing or unreadable.

    A `sparing` index has less of the structure where there is very much of it.
    """
    parsed = parse(raw, sparing_budget() if sparing else None)
    tree = parsed.root
    imap_envelope, structure = envelope(tree["parsedHeader"]), bodystructure(tree)
    content = extract(tree)
    layout = _layout(parsed, content.bodies)
    tree["attachmentMap"] = {body.id: body.hash for body in content.bodies}
    subject = _subject(parsed)
    document: IndexedFields = {
        "envelope": imap_envelope,
        "bodystructure": structure,
        "mimeTree": tree,
        "size": source.size(tree),
        "hdate": _date(parsed, received),
        "msgid": _message_id(tree),
        "subject": subject,
        "headers": indexed(parsed.fields),
        "ha": any(not attachment["related"] for attachment in content.attachments),
    }
    if content.attachments:
        document["attachments"] = content.attachments
    document = {**document, **text_fields(content)}
    return Indexed(
        document, tuple(content.bodies), normalize_subject(subject), thread_ids(tree["parsedHeader"]), layout
    )


def _layout(parsed: Parsed, bodies: list[Body]) -> Layout | None:
    """What is missing from the tree; a large literal goes to where attachments are, as one body."""
    encoded = {
        node["attachmentId"]: (start, end) for node, start, end in parsed.leaves if node.get("attachmentId")
    }

    def fetch(body_id: str) -> Iterator[bytes]:
        start, end = encoded[body_id]
        return map(bytes, cut(memoryview(parsed.source)[start:end]))

    if is_made_of(parsed.source, source.rebuild(parsed.root, fetch)):
        return None
    layout = source.layout_of(parsed, lambda node, position: node.get("attachmentId") or position)
    if source.literal_bytes(layout) <= _LARGEST_LAYOUT:
        return layout
    bodies.append(_whole(parsed.source, parsed.root))
    return [WHOLE]


def _whole(raw: bytes, root: Node) -> Body:
    return stored_apart(WHOLE, raw, "message/rfc822", encoding_of(root))


def kept_whole(indexed: Indexed, raw: bytes) -> Indexed:
    """The same, with its source kept as one body in addition to its parts."""
    document = indexed.document
    body = _whole(normalize(raw), document["mimeTree"])
    tree: Node = {
        **document["mimeTree"],
        "attachmentMap": {**document["mimeTree"]["attachmentMap"], body.id: body.hash},
    }
    return replace(
        indexed, document={**document, "mimeTree": tree}, bodies=(*indexed.bodies, body), layout=[WHOLE]
    )


def _last_field(parsed: Parsed, name: str) -> str:
    return next((text for key, text in reversed(parsed.fields) if key == name), "")


def _subject(parsed: Parsed) -> str:
    return subject_text(_last_field(parsed, "subject"))[:_LONGEST_SUBJECT]


def _date(parsed: Parsed, received: datetime) -> datetime:
    return read_date(_last_field(parsed, "date")) or received


def _message_id(tree: Node) -> str:
    return str(tree["parsedHeader"].get("message-id") or f"<{uuid.uuid4()}@mallard.invalid>")[:4096]
