"""The bucket of attachments: each content once, with a count of the messages that refer to it.

`metadata.c` counts references, `metadata.m` sums the random numbers (`magic`) of the messages that hold them: the
two must come to zero together before a file may be removed.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from bson import Binary, ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from mail.attachment import decoded_pieces, encoded_pieces
from mail.content import Body
from problems import FileNotFound
from storage.base.chunks import CHUNK_SIZE, CHUNKS_AT_ONCE, read_chunks
from storage.base.database import SWEEP_MS, Clock, Condition, Databases, Session, holding, is_duplicate
from storage.messages.documents import AttachmentFile, Chunk, FileId, FileMetadata

_TRIES = 70
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.5
_ABANDONED = timedelta(minutes=30)
_UNUSED = timedelta(hours=24)


class Attachments:
    """Repository of attachment bodies."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._files = holding(databases.gridfs["attachments.files"], AttachmentFile)
        self._chunks = holding(databases.gridfs["attachments.chunks"], Chunk)
        self._clock = clock

    def store(self, bodies: Sequence[Body], magic: int) -> dict[bytes, str | None]:
        """Store bodies, or count one more reference to existing ones; hash of each content if it is known.

        If one fails, the references taken so far are given back.
        """
        stored: list[Body] = []
        hashes: dict[bytes, str | None] = {}
        try:
            for body in bodies:
                hashes[body.hash] = self._store(body, magic)
                stored.append(body)
        except Exception:
            self.release([body.hash for body in stored], magic)
            raise
        return hashes

    def _store(self, body: Body, magic: int) -> str | None:
        """Somebody else may be storing the same: then wait for the file to be there."""
        wait = _FIRST_WAIT
        for _ in range(_TRIES):
            if found := self._refer(body.hash, magic):
                return str(found["metadata"].get("fileContentHash") or "") or None
            try:
                return self._upload(body, magic)
            except (DuplicateKeyError, BulkWriteError) as error:
                if not is_duplicate(error):
                    raise
                self._clear_abandoned(body.hash)
            time.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT)
        raise TimeoutError("another process has been storing the same attachment for too long")

    def _refer(self, file_id: bytes, magic: int) -> AttachmentFile | None:
        """Count one more reference; the file's document, None where there is no such file."""
        change = {"$inc": {"metadata.c": 1, "metadata.m": magic}, "$set": {"metadata.cu": self._clock()}}
        return self._files.find_one_and_update(
            {"_id": Binary(file_id)}, change, {"metadata.fileContentHash": 1}
        )

    def _upload(self, body: Body, magic: int) -> str:
        """The chunks first, the file document last: a file that exists is whole."""
        file = _file_document(body, magic, self._clock())
        written: list[ObjectId] = []
        try:
            self._write_chunks(body, written)
            self._files.insert_one(file)
        except Exception:
            if not self._files.find_one({"_id": file["_id"]}, {"_id": 1}):
                self._chunks.delete_many({"_id": {"$in": written}})
            raise
        return str(file["metadata"]["fileContentHash"])

    def _write_chunks(self, body: Body, written: list[ObjectId]) -> None:
        """The first chunk alone, as the unique index lets only one writer pass; ids are noted before the writing."""
        chunks = _chunk_documents(body)
        size = 1
        while batch := list(islice(chunks, size)):
            written += [chunk["_id"] for chunk in batch]
            self._chunks.insert_many(batch)
            size = CHUNKS_AT_ONCE

    def _clear_abandoned(self, file_id: bytes) -> None:
        """Remove the chunks of a writer who did not live to finish; none of those that are being written now."""
        if not self._files.find_one({"_id": Binary(file_id)}, {"_id": 1}):
            oldest = ObjectId.from_datetime(datetime.now(UTC) - _ABANDONED)
            self._chunks.delete_many({"files_id": Binary(file_id), "_id": {"$lt": oldest}})

    def release(self, file_ids: Iterable[bytes], magic: int, session: Session = None) -> None:
        """Give references back, one for each time that an id is named. Files go later, by the clean-up."""
        updates = [
            UpdateOne(
                {"_id": Binary(file_id)},
                {
                    "$inc": {"metadata.c": -times, "metadata.m": -magic * times},
                    "$set": {"metadata.cu": self._clock()},
                },
            )
            for file_id, times in Counter(bytes(file_id) for file_id in file_ids).items()
        ]
        if updates:
            self._files.bulk_write(updates, ordered=False, session=session)

    def orphans(self, limit: int) -> list[bytes]:
        """Files that nothing has referred to for a day."""
        rows = self._files.find(self._orphaned(), {"_id": 1}, max_time_ms=SWEEP_MS).limit(limit)
        return [_hash(row) for row in rows]

    def _orphaned(self) -> Condition:
        long_ago = self._clock() - _UNUSED
        return {
            "metadata.c": 0,
            "metadata.m": 0,
            "$or": [{"metadata.cu": None}, {"metadata.cu": {"$lt": long_ago}}],
        }

    def remove_orphan(self, file_id: bytes, session: Session = None) -> bool:
        """Remove a file that nothing refers to. Return whether it was removed.

        Only its old chunks go: somebody may already be storing the same content again.
        """
        if not self._files.delete_one(
            {"_id": Binary(file_id), **self._orphaned()}, session=session
        ).deleted_count:
            return False
        newest = ObjectId.from_datetime(self._clock() - _ABANDONED)
        self._chunks.delete_many({"files_id": Binary(file_id), "_id": {"$lt": newest}}, session=session)
        return True

    def existing(self, file_ids: Iterable[FileId]) -> set[FileId]:
        """Return those of the files that exist."""
        condition = {"_id": {"$in": [_key(file_id) for file_id in file_ids]}}
        return {row["_id"] for row in self._files.find(condition, {"_id": 1})}

    def file(self, file_id: FileId) -> AttachmentFile:
        """The document of a file. Raises FileNotFound."""
        found = self._files.find_one({"_id": _key(file_id)})
        if not found:
            raise FileNotFound
        return found

    def encoded(self, file_id: FileId) -> Iterator[bytes]:
        """The body as it stands in the message. A body that is lost gives nothing.

        WildDuck decodes base64 also where line breaks follow it; their number is known from the encoded size.
        """
        found = self._files.find_one({"_id": _key(file_id)})
        if not found:
            return
        metadata = found["metadata"]
        if not metadata.get("decoded"):
            yield from self._read(found)
            return
        length = 0
        for piece in encoded_pieces(self._read(found), int(metadata["lineLen"])):
            length += len(piece)
            yield piece
        if missing := b"\r\n" * ((int(metadata.get("esize") or 0) - length) // 2):
            yield missing

    def alters(self, bodies: Sequence[Body]) -> bool:
        """Return whether an existing file gives one of these bodies back with other line breaks.

        WildDuck decodes base64 whose lines are nearly of one length, and does not know where the odd ones were.
        """
        uneven = [Binary(b.hash) for b in bodies if b.transfer_encoding == "base64" and b.line_length is None]
        if not uneven:
            return False
        rows = self._files.find({"_id": {"$in": uneven}, "metadata.decoded": True}, {"_id": 1})
        return any(_digest(self.encoded(row["_id"])) != _hash(row) for row in rows)

    def decoded(self, file: AttachmentFile) -> Iterator[bytes]:
        """The content of a file document."""
        metadata = file["metadata"]
        encoding = "" if metadata.get("decoded") else metadata.get("transferEncoding") or ""
        return decoded_pieces(self._read(file), encoding)

    def _read(self, file: AttachmentFile) -> Iterator[bytes]:
        return read_chunks(self._chunks, _key(file["_id"]))


def _file_document(body: Body, magic: int, now: datetime) -> AttachmentFile:
    """The file of a body, with its first reference."""
    metadata: FileMetadata = {
        "m": magic,
        "c": 1,
        "cu": now,
        "esize": body.encoded_size,
        "transferEncoding": body.transfer_encoding,
        "fileContentHash": b64encode(body.content_hash).decode(),
    }
    if body.line_length:
        metadata["decoded"], metadata["lineLen"] = True, body.line_length
    return {
        "_id": Binary(body.hash),
        "length": len(body.content),
        "chunkSize": CHUNK_SIZE,
        "uploadDate": now,
        "filename": None,
        "contentType": body.content_type,
        "metadata": metadata,
    }


def _chunk_documents(body: Body) -> Iterator[Chunk]:
    """Its chunks in order."""
    for number, start in enumerate(range(0, len(body.content), CHUNK_SIZE)):
        data = Binary(body.content[start : start + CHUNK_SIZE])
        yield {"_id": ObjectId(), "files_id": Binary(body.hash), "n": number, "data": data}


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _hash(file: AttachmentFile) -> bytes:
    """The id of a file that is a hash."""
    assert not isinstance(file["_id"], ObjectId)
    return bytes(file["_id"])


def _key(file_id: FileId) -> Binary | ObjectId:
    """Files of old messages have their own ids; the ids of others are hashes."""
    return Binary(file_id) if isinstance(file_id, bytes) else file_id
