"""The documents in the collection of messages, and where their fields come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypedDict

import bson
from bson import Binary, ObjectId

from mail.message import Indexed, IndexedFields, index
from mail.search_tokens import search_tokens
from mail.source import Layout
from storage.addresses.documents import Target
from storage.mailboxes.retention import RetentionFields

Meta: TypeAlias = Mapping[str, Any]
"""How a message came: `source`, envelope, `transtype`, `time`, `custom` data of the caller. WildDuck adds its own."""
FileId: TypeAlias = bytes | ObjectId
"""SHA-256 of the encoded body; old documents have ids."""


class OwnMessageFields(TypedDict, total=False):
    """What Mallard keeps of a message besides WildDuck's fields."""

    search: list[str]  # tokens, see `mail.search_tokens`
    layout: Layout  # what the tree lacks to give the source back, see `mail.source`


class Flags(TypedDict, total=False):
    """IMAP flags, and the fields that mirror them for the indexes."""

    flags: list[str]
    unseen: bool
    undeleted: bool
    flagged: bool
    draft: bool
    searchable: bool  # there only while it is true: not marked as deleted


class Message(IndexedFields, Flags, RetentionFields, total=False):
    """A stored message."""

    _id: ObjectId
    root: ObjectId  # the message that it was copied from by IMAP, else itself
    v: str  # version of this form
    user: ObjectId
    mailbox: ObjectId
    uid: int
    modseq: int  # modification sequence of the last change
    idate: datetime  # when it was received
    userDeleted: bool  # whether its account is deleted: then it is not archived
    copied: bool  # whether IMAP copied it: then the copy is archived
    junk: bool | None
    meta: Meta
    magic: int  # what each of its references adds to `metadata.m` of an attachment's file
    thread: ObjectId
    filters: list[ObjectId | str]  # those that matched when it came in
    verificationResults: Mapping[str, Any]  # of SPF, DKIM, DMARC and BIMI
    outbound: list[str]  # the ids under which it was queued
    forwardTargets: list[Target]
    mallard: OwnMessageFields


class ArchivedMessage(Message, total=False):
    """A deleted message that can be restored until it expires."""

    archived: datetime


class Thread(TypedDict, total=False):
    """Messages that answer each other."""

    _id: ObjectId
    user: ObjectId
    subject: str  # normalized
    ids: list[str]  # hashes of Message-IDs
    updated: datetime


class FileMetadata(TypedDict, total=False):
    """What is known of an attachment's file."""

    m: int  # the sum of the `magic` of its references
    c: int  # the number of its references
    cu: datetime  # when that changed last
    esize: int  # bytes of the body as it stands in the message
    transferEncoding: str
    fileContentHash: str  # base64 of SHA-256 of the stored content
    decoded: bool  # whether base64 was decoded
    lineLen: int  # the length of its lines then


class AttachmentFile(TypedDict, total=False):
    """A file of the bucket of attachments, as GridFS has it."""

    _id: FileId
    length: int
    chunkSize: int
    uploadDate: datetime
    filename: str | None
    contentType: str
    metadata: FileMetadata


class Chunk(TypedDict):
    """A piece of a file."""

    _id: ObjectId
    files_id: FileId
    n: int  # its place among the pieces
    data: Binary


class KeptFileMetadata(TypedDict, total=False):
    """Whose file it is."""

    user: ObjectId
    cid: str  # Content-ID that drafts refer to it by


class KeptFile(TypedDict, total=False):
    """A file that an account keeps to attach it to drafts."""

    _id: ObjectId
    length: int
    chunkSize: int
    uploadDate: datetime
    filename: str
    contentType: str
    md5: str  # of files that WildDuck stored
    metadata: KeptFileMetadata


_MAY_NOT_FIT = 1024 * 1024
_LARGEST_DOCUMENT = 15 * 1024 * 1024  # leaves room for what is added later, as by the archive


def to_fit(indexed: Indexed, raw: bytes, received: datetime) -> Indexed:
    """The index of a message, a sparing one where a document cannot hold all of it (16 MiB of BSON)."""
    if len(raw) < _MAY_NOT_FIT or len(bson.encode(indexed.document)) <= _LARGEST_DOCUMENT:
        return indexed
    return index(raw, received, sparing=True)


def own_fields(indexed: Indexed) -> OwnMessageFields:
    """What Mallard keeps of a message besides WildDuck's fields: tokens for searches, and what the tree lacks."""
    own: OwnMessageFields = {"search": search_tokens(indexed.document["headers"])}
    return own if indexed.layout is None else {**own, "layout": indexed.layout}


def flag_fields(flags: Sequence[str]) -> Flags:
    """`flags` with the fields that mirror them; `searchable` is only there while it is true."""
    fields: Flags = {
        "flags": list(flags),
        "unseen": "\\Seen" not in flags,
        "undeleted": "\\Deleted" not in flags,
        "flagged": "\\Flagged" in flags,
        "draft": "\\Draft" in flags,
    }
    return {**fields, "searchable": True} if fields["undeleted"] else fields
