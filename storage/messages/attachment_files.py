"""The form of a file in the bucket of attachments: that of GridFS."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime

from bson import Binary, ObjectId

from mail.content import Body
from storage.base.chunks import CHUNK_SIZE
from storage.base.database import Document


def file_document(body: Body, magic: int, now: datetime) -> Document:
    """The file of a body, with its first reference."""
    metadata: Document = {
        "m": magic,
        "c": 1,
        "cu": now,
        "esize": body.encoded_size,
        "transferEncoding": body.transfer_encoding,
        "fileContentHash": b64encode(body.content_hash).decode(),
    }
    if body.line_length:
        metadata.update(decoded=True, lineLen=body.line_length)
    return {
        "_id": Binary(body.hash),
        "length": len(body.content),
        "chunkSize": CHUNK_SIZE,
        "uploadDate": now,
        "filename": None,
        "contentType": body.content_type,
        "metadata": metadata,
    }


def chunk_documents(body: Body) -> Iterator[Document]:
    """Its chunks in order."""
    for number, start in enumerate(range(0, len(body.content), CHUNK_SIZE)):
        data = Binary(body.content[start : start + CHUNK_SIZE])
        yield {"_id": ObjectId(), "files_id": Binary(body.hash), "n": number, "data": data}
