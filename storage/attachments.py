"""The bucket of attachments: each content once, with a count of the messages that refer to it.

`metadata.c` counts references, `metadata.m` sums the random numbers (`magic`) of the messages that hold them: the
two must come to zero together before a file may be removed.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from bson import Binary, ObjectId
from gridfs import GridFSBucket
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from mail.attachment import decode, encode
from mail.content import Body
from problems import Problem
from storage.database import ACKNOWLEDGED, Clock, Databases, Document

CHUNK_SIZE = 261_120
_TRIES = 20
_WAIT_SECONDS = 0.05
_ABANDONED = timedelta(minutes=30)


class Attachments:
    """Repository of attachment bodies."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._bucket = GridFSBucket(databases.gridfs, "attachments", CHUNK_SIZE, write_concern=ACKNOWLEDGED)
        self._files = databases.gridfs["attachments.files"]
        self._chunks = databases.gridfs["attachments.chunks"]
        self._clock = clock

    def store(self, bodies: Sequence[Body], magic: int) -> dict[bytes, str]:
        """Store bodies, or count one more reference to those that are there; hash of each stored content.

        If one fails, the references taken so far are given back.
        """
        stored: list[Body] = []
        hashes: dict[bytes, str] = {}
        try:
            for body in bodies:
                hashes[body.hash] = self._store(body, magic)
                stored.append(body)
        except Exception:
            self.release([body.hash for body in stored], magic)
            raise
        return hashes

    def _store(self, body: Body, magic: int) -> str:
        for _ in range(_TRIES):
            if content_hash := self._refer(body.hash, magic):
                return content_hash
            try:
                return self._upload(body, magic)
            except DuplicateKeyError:
                self._wait_or_clear(body.hash)
        raise TimeoutError("another process has been storing the same attachment for too long")

    def _refer(self, file_id: bytes, magic: int) -> str:
        """Count one more reference; empty where there is no such file."""
        change = {"$inc": {"metadata.c": 1, "metadata.m": magic}, "$set": {"metadata.cu": self._clock()}}
        found = self._files.find_one_and_update(
            {"_id": Binary(file_id)}, change, {"metadata.fileContentHash": 1}
        )
        return str(found["metadata"].get("fileContentHash") or "-") if found else ""

    def _upload(self, body: Body, magic: int) -> str:
        """The chunks first, the file document last: a file that is there is whole."""
        file_id = Binary(body.hash)
        content_hash = b64encode(hashlib.sha256(body.content).digest()).decode()
        metadata: Document = {
            "m": magic,
            "c": 1,
            "cu": self._clock(),
            "esize": body.encoded_size,
            "transferEncoding": body.transfer_encoding,
            "fileContentHash": content_hash,
        }
        if body.line_length:
            metadata.update(decoded=True, lineLen=body.line_length)
        for number, start in enumerate(range(0, len(body.content), CHUNK_SIZE)):
            data = body.content[start : start + CHUNK_SIZE]
            self._chunks.insert_one(
                {"_id": ObjectId(), "files_id": file_id, "n": number, "data": Binary(data)}
            )
        file = {
            "length": len(body.content),
            "chunkSize": CHUNK_SIZE,
            "uploadDate": self._clock(),
            "filename": None,
        }
        self._files.insert_one(
            {"_id": file_id, **file, "contentType": body.content_type, "metadata": metadata}
        )
        return content_hash

    def _wait_or_clear(self, file_id: bytes) -> None:
        """Somebody else is storing the file, or did not live to finish: then its chunks are cleared away."""
        wanted = {"files_id": Binary(file_id)}
        chunk = self._chunks.find_one(wanted, {"_id": 1}, sort=[("n", 1)])
        is_old = chunk and datetime.now(UTC) - chunk["_id"].generation_time > _ABANDONED
        if is_old and not self._files.find_one({"_id": Binary(file_id)}, {"_id": 1}):
            self._chunks.delete_many(wanted)
        time.sleep(_WAIT_SECONDS)

    def release(self, file_ids: Iterable[bytes], magic: int) -> None:
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
            self._files.bulk_write(updates, ordered=False)

    def file(self, file_id: bytes) -> Document:
        """The document of a file. Raises Problem FileNotFound."""
        found = self._files.find_one({"_id": Binary(file_id)})
        if not found:
            raise Problem("FileNotFound")
        return found

    def encoded(self, file_id: bytes) -> Iterator[bytes]:
        """The body as it stands in the message. A body that is lost gives nothing."""
        found = self._files.find_one({"_id": Binary(file_id)})
        if not found:
            return
        metadata: Mapping[str, object] = found["metadata"]
        if not metadata.get("decoded"):
            yield from self._read(found)
            return
        yield from _encoded_lines(self._read(found), int(str(metadata["lineLen"])))

    def decoded(self, file: Document) -> Iterator[bytes]:
        """The content of a file document."""
        metadata = file["metadata"]
        if metadata.get("decoded") or metadata.get("transferEncoding") not in ("base64", "quoted-printable"):
            yield from self._read(file)
            return
        yield decode(b"".join(self._read(file)), metadata["transferEncoding"])

    def _read(self, file: Document) -> Iterator[bytes]:
        rows = self._chunks.find({"files_id": file["_id"]}, {"_id": 0, "data": 1}).sort("n", 1)
        for row in rows:
            yield bytes(row["data"])


def _encoded_lines(pieces: Iterable[bytes], line_length: int) -> Iterator[bytes]:
    """base64 of content in pieces, as if it had come in one: whole lines, the rest carried over."""
    if line_length % 4:
        yield encode(b"".join(pieces), line_length)
        return
    whole = line_length // 4 * 3
    rest, begun = b"", False
    for piece in pieces:
        data = rest + piece
        cut = len(data) - len(data) % whole
        rest = data[cut:]
        if cut:
            yield (b"\r\n" if begun else b"") + encode(data[:cut], line_length)
            begun = True
    if rest:
        yield (b"\r\n" if begun else b"") + encode(rest, line_length)
