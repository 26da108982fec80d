"""The bucket `audit`: copies of messages, each under an id made of its audit and its message, so none is there twice.

What WildDuck stores there beside us has ids of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from bson import ObjectId

from storage.base.chunks import CHUNK_SIZE, read_chunks, write_chunks
from storage.base.database import Clock, Condition, Databases, Document, Session

log = structlog.get_logger()

_READ_MS = 120_000
_PAGE = 200
_TOGETHER_BYTES = 4 * 1024 * 1024
_EXPORTED = dict.fromkeys(
    ("length", "metadata.date", "metadata.info.from", "metadata.info.time", "metadata.mailboxPath",
     "metadata.draft"), 1,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Copy:
    """A message as it is exported: from whom, when and where it came, and its bytes."""

    sender: str
    date: datetime
    mailbox: str
    draft: bool
    pieces: Iterator[bytes]


def copy_id(audit: ObjectId, message: ObjectId) -> ObjectId:
    """The id of a message's copy in an audit."""
    return ObjectId(hashlib.sha256(audit.binary + message.binary).digest()[:12])


class AuditFiles:
    """Repository of audited messages."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._files = databases.gridfs["audit.files"]
        self._chunks = databases.gridfs["audit.chunks"]
        self._clock = clock

    def write(self, metadata: Document, pieces: Iterable[bytes], session: Session) -> None:
        """Store a copy; `metadata` names its audit and its message.

        Without transactions the document comes first, marked as unfinished: so a crash leaves nothing that its
        audit's end does not remove, and the copy can be made anew.
        """
        file_id = copy_id(metadata["audit"], metadata["mallard"]["message"])
        file: Document = {
            "_id": file_id,
            "length": 0,
            "chunkSize": CHUNK_SIZE,
            "uploadDate": self._clock(),
            "filename": None,
            "contentType": "message/rfc822",
            "metadata": metadata,
        }
        if session is None:
            unfinished = {**metadata, "mallard": {**metadata["mallard"], "unfinished": True}}
            self._files.replace_one({"_id": file_id}, {**file, "metadata": unfinished}, upsert=True)
            self._chunks.delete_many({"files_id": file_id})
        file["length"] = write_chunks(self._chunks, file_id, pieces, session)
        if session is None:
            self._files.replace_one({"_id": file_id}, file)
        else:
            self._files.insert_one(file, session=session)

    def missing(self, audit: ObjectId, messages: Sequence[ObjectId]) -> list[ObjectId]:
        """Those of the messages that an audit has no copy of."""
        wanted = {copy_id(audit, message): message for message in messages}
        finished = {"_id": {"$in": list(wanted)}, "metadata.mallard.unfinished": None}
        there = {row["_id"] for row in self._files.find(finished, {"_id": 1}, max_time_ms=_READ_MS)}
        return [message for file_id, message in wanted.items() if file_id not in there]

    def twin_of(self, audit: ObjectId, row: Document, source: Iterable[bytes]) -> bool:
        """Whether WildDuck has made the same copy: of a message with that date and Message-ID, byte for byte."""
        wanted = {
            "metadata.audit": audit,
            "metadata.date": row["idate"],
            "metadata.msgid": row.get("msgid"),
            "metadata.mallard": None,
        }
        others = list(self._files.find(wanted, {"length": 1}, max_time_ms=_READ_MS).hint("audit_files"))
        if not others:
            return False
        own = _digest(source)
        return any(_digest(read_chunks(self._chunks, other["_id"])) == own for other in others)

    def has_others(self, audit: ObjectId, dates: Collection[object]) -> bool:
        """Whether there are copies by WildDuck of messages with one of these dates."""
        wanted = {"metadata.audit": audit, "metadata.date": {"$in": list(dates)}, "metadata.mallard": None}
        found = self._files.find(wanted, {"_id": 1}, max_time_ms=_READ_MS).hint("audit_files").limit(1)
        return next(iter(found), None) is not None

    def export(self, audit: ObjectId) -> Iterator[Copy]:
        """All copies by date. What is held at a time is bounded, however slowly it is read."""
        own: Condition = {"metadata.audit": audit, "metadata.mallard.unfinished": None}
        wanted = own
        while rows := self._page(wanted):
            for group in _groups(rows):
                yield from self._contents(group)
            date, last = rows[-1]["metadata"]["date"], rows[-1]["_id"]
            same, later = {"metadata.date": date, "_id": {"$gt": last}}, {"metadata.date": {"$gt": date}}
            wanted = {"$or": [{**own, **same}, {**own, **later}]}

    def _page(self, wanted: Condition) -> list[Document]:
        rows = self._files.find(wanted, _EXPORTED, max_time_ms=_READ_MS).hint("audit_files_export")
        return list(rows.sort([("metadata.date", 1), ("_id", 1)]).limit(_PAGE))

    def _contents(self, group: list[Document]) -> Iterator[Copy]:
        """Small ones in one query, a large one piece by piece. One that is not whole is left out."""
        if group[0]["length"] > _TOGETHER_BYTES:
            yield _copy(group[0], self._whole(group[0]))
            return
        pieces: dict[ObjectId, list[bytes]] = {row["_id"]: [] for row in group}
        rows = self._chunks.find({"files_id": {"$in": list(pieces)}}, {"_id": 0, "files_id": 1, "data": 1})
        for row in rows.sort([("files_id", 1), ("n", 1)]):
            pieces[row["files_id"]].append(row["data"])
        for row in group:
            own = pieces.pop(row["_id"])
            if sum(map(len, own)) == row["length"]:
                yield _copy(row, iter(own))
            else:
                log.error("an audited message is not whole", file=str(row["_id"]))

    def _whole(self, row: Document) -> Iterator[bytes]:
        """What is there of a large one is written by the time that the rest is missed."""
        length = 0
        for piece in read_chunks(self._chunks, row["_id"]):
            length += len(piece)
            yield piece
        if length != row["length"]:
            log.error("an audited message is not whole", file=str(row["_id"]))

    def forget(self, audit: ObjectId, message: ObjectId) -> None:
        """Take a copy away again whose message could not be stored."""
        self._chunks.delete_many({"files_id": copy_id(audit, message)})
        self._files.delete_one({"_id": copy_id(audit, message)})

    def delete_some(self, audit: ObjectId, most: int) -> int:
        """Delete at most `most` of an audit's copies; how many there were. Their documents go last."""
        wanted = {"metadata.audit": audit}
        rows = self._files.find(wanted, {"_id": 1}, max_time_ms=_READ_MS).hint("audit_files").limit(most)
        ids = [row["_id"] for row in rows]
        self._chunks.delete_many({"files_id": {"$in": ids}})
        return self._files.delete_many({"_id": {"$in": ids}}).deleted_count

    def is_empty(self, audit: ObjectId, session: Session) -> bool:
        """Whether an audit has no copies."""
        return self._files.find_one({"metadata.audit": audit}, {"_id": 1}, session=session) is None


def _copy(row: Document, pieces: Iterator[bytes]) -> Copy:
    metadata = row["metadata"]
    info = metadata.get("info") or {}
    time = info.get("time")
    return Copy(
        sender=str(info.get("from") or ""),
        date=time if isinstance(time, datetime) else metadata["date"],
        mailbox=metadata.get("mailboxPath") or "",
        draft=bool(metadata.get("draft")),
        pieces=pieces,
    )


def _groups(rows: list[Document]) -> Iterator[list[Document]]:
    """Neighbours that are small enough to be held together; a large one is alone."""
    group: list[Document] = []
    total = 0
    for row in rows:
        if group and total + row["length"] > _TOGETHER_BYTES:
            yield group
            group, total = [], 0
        group.append(row)
        total += row["length"]
    if group:
        yield group


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
