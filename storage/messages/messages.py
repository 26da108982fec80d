"""Reading messages: pages, single ones, whole mailboxes, their source and their attachments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from mail import source
from mail.headers import unfold
from mail.mime_tree import Node, header_fields
from problems import AttachmentNotFound, MailboxNotFound, MessageNotFound
from storage.base.database import (
    NAIVE_DATES,
    SWEEP_MS,
    Clock,
    Condition,
    Databases,
    Projection,
    Session,
    Stages,
    holding,
)
from storage.base.paging import Order, Page, Paging, read_page
from storage.mailboxes.counts import MailboxCounts, has_counts
from storage.mailboxes.documents import Mailbox
from storage.messages.attachments import Attachments
from storage.messages.documents import FileId, Message
from storage.messages.threads import thread_counts, thread_stages

LISTED = dict.fromkeys(
    (
        "uid", "mailbox", "thread", "msgid", "subject", "idate", "hdate", "intro", "ha", "attachments", "size",
        "unseen",
        "undeleted", "flagged", "draft", "flags", "meta.from", "meta.custom", "verificationResults.bimi",
        "mimeTree.attachmentMap",
        "mimeTree.parsedHeader.from", "mimeTree.parsedHeader.sender", "mimeTree.parsedHeader.to",
        "mimeTree.parsedHeader.cc", "mimeTree.parsedHeader.bcc", "mimeTree.parsedHeader.references",
        "mimeTree.parsedHeader.content-type",
    ),
    1,
)  # fmt: skip
LISTED_WITH_HEADERS = {k: 1 for k in LISTED if "parsedHeader" not in k} | {"mimeTree.parsedHeader": 1}
SHOWN = {"mimeTree.childNodes": 0, "mimeTree.body": 0, "mimeTree.message": 0, "mimeTree.header": 0, "headers": 0,
         "envelope": 0, "bodystructure": 0, "mallard": 0}  # fmt: skip
OF_SOURCE = {"mimeTree": 1, "mallard": 1}
OF_SENDING = dict.fromkeys(
    ("user", "mailbox", "uid", "flags", "draft", "meta", "outbound", "forwardTargets", "thread", "subject", "size",
     "magic", "mimeTree", "mallard"), 1,
)  # fmt: skip
_AT_ONCE = 20
_MOST_ALIKE = 100
_OF_EXPORT = {"uid": 1, "flags": 1, "idate": 1, "meta.from": 1, "mimeTree": 1, "mallard": 1}
OF_ATTACHMENT = {"mimeTree": 1, "attachments": 1}


@dataclass(frozen=True, slots=True)
class Listing:
    """What is wanted of a mailbox's messages."""

    paging: Paging
    direction: int
    unseen: bool | None = None
    collapse_threads: bool = False
    with_headers: bool = False

    @property
    def projection(self) -> Mapping[str, int]:
        return LISTED_WITH_HEADERS if self.with_headers else LISTED


class MailboxWithRow(Mailbox, total=False):
    """A mailbox together with one of its messages, if it has any."""

    row: Message


class Messages:
    """Repository of messages: what reads them."""

    def __init__(
        self, databases: Databases, clock: Clock, mailbox_counts: MailboxCounts, attachments: Attachments
    ) -> None:
        self._collection = holding(databases.main["messages"], Message)
        self._sums = databases.main["messages"]
        self._mailboxes = holding(databases.main.get_collection("mailboxes", NAIVE_DATES), MailboxWithRow)
        self._clock = clock
        self._mailbox_counts = mailbox_counts
        self._attachments = attachments

    def find(
        self, user: ObjectId, mailbox: ObjectId, uid: int, projection: Projection | None = None
    ) -> Message:
        """One message by its UID. Raises MessageNotFound."""
        wanted = {"mailbox": mailbox, "uid": uid, "user": user}
        found = self._collection.find_one(wanted, projection, max_time_ms=SWEEP_MS)
        if not found:
            raise MessageNotFound
        return found

    def page(self, user: ObjectId, mailbox: ObjectId, listing: Listing) -> tuple[Mailbox, Page[Message], int]:
        """The mailbox, a page of its messages, and how many match, in one query as long as the counts are right.

        Raises MailboxNotFound.
        """
        wanted: dict[str, object] = {"mailbox": mailbox}
        if listing.unseen is not None:
            wanted["unseen"] = listing.unseen
        found: list[MailboxWithRow] = []

        def read(condition: Condition, sort: dict[str, int], limit: int) -> list[Message]:
            rows = self._rows(user, mailbox, _row_stages(wanted, condition, sort, limit, listing))
            found.append(rows[0])
            return [row["row"] for row in rows if "row" in row]

        page = read_page(read, listing.paging, Order("idate", listing.direction))
        return found[0], page, self._total(found[0], wanted, listing)

    def _rows(self, user: ObjectId, mailbox: ObjectId, stages: Stages) -> list[MailboxWithRow]:
        """Each row together with its mailbox: that way the answer streams and has no size limit."""
        pipeline: Stages = [
            {"$match": {"_id": mailbox, "user": user}},
            {"$project": {"specialUse": 1, "modifyIndex": 1, "counted": 1}},
            {"$lookup": {"from": "messages", "pipeline": stages, "as": "row"}},
            {"$unwind": {"path": "$row", "preserveNullAndEmptyArrays": True}},
        ]
        rows = list(self._mailboxes.aggregate(pipeline, maxTimeMS=SWEEP_MS))
        if not rows:
            raise MailboxNotFound
        return rows

    def _total(self, mailbox: Mailbox, condition: Condition, listing: Listing) -> int:
        if listing.collapse_threads:
            return self._count_threads(condition)
        if has_counts(mailbox, self._clock()):
            counted = mailbox["counted"]
            total, unseen = int(counted["total"]), int(counted["unseen"])
        else:
            total, unseen = self._mailbox_counts.of([mailbox])[mailbox["_id"]]
        return total if listing.unseen is None else unseen if listing.unseen else total - unseen

    def _count_threads(self, condition: Condition) -> int:
        stages: Stages = [{"$match": condition}, {"$group": {"_id": "$thread"}}, {"$count": "n"}]
        return next((int(row["n"]) for row in self._sums.aggregate(stages, maxTimeMS=SWEEP_MS)), 0)

    def thread_counts(self, user: ObjectId, threads: Sequence[ObjectId]) -> dict[ObjectId, int]:
        """How many messages each thread has in all mailboxes."""
        return thread_counts(self._collection, user, threads)

    def drafts_of(self, user: ObjectId, threads: Sequence[ObjectId]) -> list[Message]:
        """The drafts of threads, each with `thread` and the Message-ID that it answers."""
        wanted = {"user": user, "thread": {"$in": list(threads)}, "draft": True}
        projection = {"thread": 1, "mimeTree.parsedHeader.in-reply-to": 1}
        return list(self._collection.find(wanted, projection, max_time_ms=SWEEP_MS))

    def source(self, message: Mapping[str, Any]) -> Iterator[bytes]:
        """The message as it came in, in pieces; the document needs what OF_SOURCE names."""
        tree = message["mimeTree"]
        fetch = _fetcher(tree, self._attachments.encoded)
        return source.stream(tree, (message.get("mallard") or {}).get("layout"), fetch)

    def attachment(
        self, message: Mapping[str, Any], attachment_id: str
    ) -> tuple[str, str | None, Iterator[bytes]]:
        """Content type, Content-Disposition of the part if it has one, and content.

        Raises AttachmentNotFound or FileNotFound.
        """
        file_id = _file_id(message["mimeTree"], attachment_id)
        if file_id is None:
            raise AttachmentNotFound
        file = self._attachments.file(file_id)
        kinds = {a["id"]: a["contentType"] for a in message.get("attachments") or ()}
        kind = kinds.get(attachment_id) or file.get("contentType") or "application/octet-stream"
        disposition = _disposition(message["mimeTree"], attachment_id)
        return kind, disposition, self._attachments.decoded(file)

    def exists(self, message: ObjectId, session: Session = None) -> bool:
        """Return whether a message with this id exists, in any mailbox."""
        return self._collection.find_one({"_id": message}, {"_id": 1}, session=session) is not None

    def each(self, user: ObjectId, mailbox: ObjectId) -> Iterator[Message]:
        """All messages of a mailbox by UID, with what `source` needs; a few at a time, however long it takes."""
        last = 0
        while rows := self._rows_behind(user, mailbox, last):
            yield from rows
            last = rows[-1]["uid"]

    def _rows_behind(self, user: ObjectId, mailbox: ObjectId, uid: int) -> list[Message]:
        wanted = {"mailbox": mailbox, "uid": {"$gt": uid}, "user": user}
        found = self._collection.find(wanted, _OF_EXPORT, max_time_ms=SWEEP_MS)
        return list(found.sort("uid", 1).limit(_AT_ONCE))

    def has_any(self, user: ObjectId, ids: Sequence[ObjectId]) -> bool:
        """Return whether one of some ids is a message of the account."""
        wanted = {"_id": {"$in": list(ids)}, "user": user}
        return self._collection.find_one(wanted, {"_id": 1}, max_time_ms=SWEEP_MS) is not None

    def has_same(self, mailbox: ObjectId, raw: bytes, message_id: str) -> bool:
        """Return whether a mailbox has a message of the very same bytes with this Message-ID."""
        wanted = {"mailbox": mailbox, "size": len(raw), "msgid": message_id}
        alike = self._collection.find(wanted, {"mimeTree": 1, "mallard": 1}, max_time_ms=SWEEP_MS)
        return any(b"".join(self.source(message)) == raw for message in alike.limit(_MOST_ALIKE))


def _file_id(tree: Node, attachment_id: str) -> FileId | None:
    """Old documents have no map; there the id of the part is the id of the file."""
    files: Mapping[str, FileId] = tree.get("attachmentMap") or {}
    own: Iterator[object] = (part["attachmentId"] for part in _nodes(tree) if part.get("attachmentId"))
    return files.get(attachment_id) or next(
        (file_id for file_id in own if isinstance(file_id, ObjectId) and str(file_id) == attachment_id), None
    )


def _fetcher(tree: Node, read: Callable[[FileId], Iterator[bytes]]) -> Callable[[Any], Iterator[bytes]]:
    files = tree.get("attachmentMap") or {}
    return lambda attachment_id: read(files.get(attachment_id, attachment_id))


def _disposition(node: Node, attachment_id: str) -> str | None:
    """The part's own header field, unfolded."""
    for part in _nodes(node):
        if str(part.get("attachmentId")) == attachment_id:
            fields = [
                unfold(text) for name, text in header_fields(part["header"]) if name == "content-disposition"
            ]
            return fields[-1] if fields else None
    return None


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in (*node.get("childNodes", ()), *((node["message"],) if node.get("message") else ())):
        yield from _nodes(child)


def _row_stages(
    base: Condition, condition: Condition, sort: dict[str, int], limit: int, listing: Listing
) -> Stages:
    if not listing.collapse_threads:
        return [
            {"$match": {"$and": [base, condition]} if condition else base},
            {"$sort": sort},
            {"$limit": limit},
            {"$project": listing.projection},
        ]
    stages = thread_stages(condition, sort, limit, listing.direction, listing.projection)
    return [{"$match": base}, *stages]
