"""The pieces in which GridFS keeps a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from bson import Binary, ObjectId
from pymongo.collection import Collection

from storage.base.database import Document, Session

CHUNK_SIZE = 261_120
CHUNKS_AT_ONCE = 8

FileId = ObjectId | Binary


def write_chunks(
    chunks: Collection[Document],
    file_id: FileId,
    pieces: Iterable[bytes],
    session: Session = None,
) -> int:
    """Store what comes in pieces of any size; how long it is."""
    length = 0
    rows = _documents(file_id, pieces)
    while batch := list(islice(rows, CHUNKS_AT_ONCE)):
        chunks.insert_many(batch, session=session)
        length += sum(len(row["data"]) for row in batch)
    return length


def _documents(file_id: FileId, pieces: Iterable[bytes]) -> Iterator[Document]:
    for number, data in enumerate(_resized(pieces)):
        yield {"_id": ObjectId(), "files_id": file_id, "n": number, "data": Binary(data)}


def _resized(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= CHUNK_SIZE:
            yield bytes(waiting[:CHUNK_SIZE])
            del waiting[:CHUNK_SIZE]
    if waiting:
        yield bytes(waiting)


def read_chunks(chunks: Collection[Any], file_id: FileId) -> Iterator[bytes]:
    """The bytes of a file, a few chunks of them in memory."""
    rows = chunks.find({"files_id": file_id}, {"_id": 0, "data": 1}).sort("n", 1)
    for row in rows.batch_size(CHUNKS_AT_ONCE):
        yield bytes(row["data"])
