"""Rows of the outbound queue, as ZoneMTA reads them, and of `received`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from bson import ObjectId

RelayLogin = TypedDict("RelayLogin", {"user": str, "pass": str})
"""How the relay authenticates to a server."""


class Exchange(TypedDict):
    """A server that an entry goes to; its address stands in `A` or `AAAA` when it is a literal."""

    priority: int
    mx: bool
    exchange: str
    A: list[str]
    AAAA: list[str]


class EntryOptions(TypedDict, total=False):
    """How a recipient is reached where that is not by its domain."""

    mx: list[Exchange]
    mxPort: int | str
    mxAuth: RelayLogin
    mxSecure: bool  # TLS from the first byte
    http: bool  # goes to `targetUrl` as a POST
    targetUrl: str
    skipSRS: bool
    skipSTS: bool


class Attempt(TypedDict):
    """An attempt to send to a recipient."""

    time: int  # ms since 1970, as all times of `Deferred`
    response: str
    host: str


class Deferred(TypedDict, total=False):
    """What is remembered of a recipient between two attempts."""

    first: int
    last: int
    next: int
    count: int  # of attempts
    response: str
    log: Sequence[Attempt]  # the latest attempts


class QueueEntry(EntryOptions, total=False):
    """A recipient of a queued message, in `zone-queue`."""

    _id: ObjectId
    id: str  # of the message: its queue id
    seq: str  # of the recipient: three hex digits
    domain: str
    sendingZone: str
    assigned: str  # the sender that has claimed it, `no` while none has
    recipient: str
    locked: bool
    lockTime: int  # ms since 1970, 0 while it is not locked
    queued: datetime  # when it is due
    created: datetime
    _deferred: Deferred
    mallard: Mapping[str, object]  # `until`: when the lease of its claim ends


class QueuedRecipient(TypedDict):
    """A recipient that still waits, as messages list it."""

    seq: str
    recipient: str
    sendingZone: str
    queued: datetime


class QueuedMessage(TypedDict):
    """The recipients of a message that still wait, as messages list them."""

    queueId: str
    entries: list[QueuedRecipient]


class HeaderField(TypedDict):
    """A header field: its name in lower case, and its line."""

    key: str
    line: str


class DkimHash(TypedDict):
    """The body's hash for DKIM, so that signing needs no body (RFC 6376 §3.7)."""

    hashAlgo: str
    bodyHash: str  # Base64, of the body in relaxed form


ParsedEnvelope = TypedDict(
    "ParsedEnvelope",
    {
        "from": str | bool,  # False where there is none
        "to": list[str],
        "cc": list[str],
        "bcc": list[str],
        "replyTo": str | bool,
        "sender": str | bool,
    },
    total=False,
)
"""The addresses of a message's header fields."""


class RelayFlags(TypedDict, total=False):
    """What our relay, and no other, heeds of a message."""

    unreported: bool  # no bounce is sent
    unsigned: bool  # it gets no DKIM signature


_Addresses = TypedDict("_Addresses", {"from": str, "to": list[str]}, total=False)


class QueueEnvelope(_Addresses, total=False):
    """What the queue knows of a message besides its body: `metadata.data` of the body's file in `mail.files`.

    `from` and `to` are the addresses of the SMTP envelope.
    """

    id: str
    transtype: str  # how it came: `API`
    time: int  # ms since 1970
    dkim: DkimHash
    userId: str  # the account that may take the message back
    interface: str  # `maildrop`, `forwarder` or `autoreplies`
    reason: str  # `submit`, `forward` or `autoreply`
    user: str  # the address that it was sent by
    passwordType: str
    parentId: ObjectId
    origin: str  # address of the client
    headers: list[HeaderField]
    parsedEnvelope: ParsedEnvelope
    messageId: str
    date: str
    bodySize: int
    mallard: RelayFlags


def relay_fields(*, unreported: bool, unsigned: bool) -> QueueEnvelope:
    """The field of a message that says what our relay, and no other, heeds of it; none where that is nothing."""
    flags: RelayFlags = {}
    if unreported:
        flags["unreported"] = True
    if unsigned:
        flags["unsigned"] = True
    return {"mallard": flags} if flags else {}


def relay_flags(envelope: QueueEnvelope) -> RelayFlags:
    """What our relay heeds of a message."""
    return envelope.get("mallard") or {}


class FileMetadata(TypedDict, total=False):
    """Of a body's file."""

    created: datetime
    data: QueueEnvelope


class BodyFile(TypedDict, total=False):
    """The GridFS file of a queued body, in `mail.files`."""

    _id: ObjectId
    filename: str  # `message <queue id>`
    length: int
    uploadDate: datetime
    contentType: str
    metadata: FileMetadata


class ReceivedRecord(TypedDict, total=False):
    """An idempotency key of a delivery, in `received`."""

    _id: str  # the key's digest
    message: ObjectId
    mailbox: ObjectId  # the record holds as long as the message exists
    done: bool  # False while the delivery is pending, without transactions
    expires: datetime
