"""Files that an account keeps to attach them to drafts: the bucket `storage`.

The chunks of a file are written first and its document last, and taken away the other way round: a file that is
there is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bson import ObjectId

from problems import FileNotFound
from storage.base.chunks import CHUNK_SIZE, read_chunks, write_chunks
from storage.base.database import Clock, Databases, Stages, holding
from storage.base.listing import literal, page_of
from storage.base.paging import Order, Page, Paging
from storage.messages.documents import KeptFile

MOST_FILES = 10_000
_READ_MS = 10_000
_BY_NAME = Order("filename")
_LISTED = dict.fromkeys(("filename", "contentType", "length", "uploadDate", "md5", "metadata.cid"), 1)


class Files:
    """Repository of kept files. Every look-up goes by the owner as well."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._files = holding(databases.gridfs["storage.files"], KeptFile)
        self._sums = databases.gridfs["storage.files"]
        self._chunks = databases.gridfs["storage.chunks"]
        self._clock = clock

    def page(self, user: ObjectId, query: str | None, paging: Paging) -> tuple[Page[KeptFile], int]:
        """A page of an account's files by name, those whose name contains `query`, and how many there are."""
        condition: dict[str, object] = {"metadata.user": user}
        if query:
            condition["filename"] = {"$regex": literal(query)}
        return page_of(self._files, condition, _LISTED, paging, _BY_NAME, hint="user_files_paging")

    def usage(self, user: ObjectId) -> tuple[int, int]:
        """(bytes, files) that an account keeps, read from an index."""
        pipeline: Stages = [
            {"$match": {"metadata.user": user}},
            {"$group": {"_id": None, "bytes": {"$sum": "$length"}, "files": {"$sum": 1}}},
        ]
        for row in self._sums.aggregate(pipeline, hint="user_file_sizes", maxTimeMS=_READ_MS):
            return int(row["bytes"]), int(row["files"])
        return 0, 0

    def create(
        self, user: ObjectId, pieces: Iterable[bytes], *, filename: str, content_type: str, cid: str | None
    ) -> ObjectId:
        """Keep a file whose content comes in pieces of any size; what they raise leaves nothing behind."""
        file_id = ObjectId()
        try:
            length = write_chunks(self._chunks, file_id, pieces)
            document: KeptFile = {
                "_id": file_id,
                "length": length,
                "chunkSize": CHUNK_SIZE,
                "uploadDate": self._clock(),
                "filename": filename,
                "contentType": content_type,
                "metadata": {"user": user, **({"cid": cid} if cid else {})},
            }
            self._files.insert_one(document)
        except BaseException:
            self._chunks.delete_many({"files_id": file_id})
            raise
        return file_id

    def get(self, user: ObjectId, file_id: ObjectId) -> KeptFile:
        """The document of a file. Raises FileNotFound."""
        found = self._files.find_one({"_id": file_id, "metadata.user": user}, max_time_ms=_READ_MS)
        if not found:
            raise FileNotFound
        return found

    def delete(self, user: ObjectId, file_id: ObjectId) -> None:
        """Remove a file. Raises FileNotFound, also for the later of two who remove it at once."""
        if not self._files.delete_one({"_id": file_id, "metadata.user": user}).deleted_count:
            raise FileNotFound
        self._chunks.delete_many({"files_id": file_id})

    def of_user(self, user: ObjectId, ids: Sequence[ObjectId]) -> list[KeptFile]:
        """The documents of files, in the order of the ids. Raises FileNotFound if one is not there."""
        rows = {
            row["_id"]: row for row in self._files.find({"_id": {"$in": list(ids)}, "metadata.user": user})
        }
        if missing := [file_id for file_id in ids if file_id not in rows]:
            raise FileNotFound(f"This file does not exist: {missing[0]}")
        return [rows[file_id] for file_id in ids]

    def delete_all(self, user: ObjectId, ids: Sequence[ObjectId]) -> int:
        """Delete files of an account; how many there were. Files go before their chunks, so none is ever half there."""
        rows = self._files.find({"_id": {"$in": list(ids)}, "metadata.user": user}, {"_id": 1})
        own = [row["_id"] for row in rows]
        self._files.delete_many({"_id": {"$in": own}})
        self._chunks.delete_many({"files_id": {"$in": own}})
        return len(own)

    def content(self, file: KeptFile) -> bytes:
        """The bytes of a file."""
        return b"".join(self.pieces(file))

    def pieces(self, file: KeptFile) -> Iterator[bytes]:
        """The bytes of a file, chunk by chunk."""
        return read_chunks(self._chunks, file["_id"])

    def delete_some(self, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` of an account's files; how many there were."""
        ids = [row["_id"] for row in self._files.find({"metadata.user": user}, {"_id": 1}).limit(limit)]
        self._chunks.delete_many({"files_id": {"$in": ids}})
        return self._files.delete_many({"_id": {"$in": ids}}).deleted_count
