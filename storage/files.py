"""Files that an account keeps to attach them to drafts."""

from __future__ import annotations

from collections.abc import Sequence

from bson import ObjectId

from problems import Problem
from storage.database import Databases, Document


class Files:
    """Repository of kept files."""

    def __init__(self, databases: Databases) -> None:
        self._files = databases.gridfs["storage.files"]
        self._chunks = databases.gridfs["storage.chunks"]

    def of_user(self, user: ObjectId, ids: Sequence[ObjectId]) -> list[Document]:
        """The documents of files, in the order of the ids. Raises Problem FileNotFound if one is not there."""
        rows = {
            row["_id"]: row for row in self._files.find({"_id": {"$in": list(ids)}, "metadata.user": user})
        }
        if missing := [file_id for file_id in ids if file_id not in rows]:
            raise Problem("FileNotFound", f"This file does not exist: {missing[0]}")
        return [rows[file_id] for file_id in ids]

    def delete_all(self, user: ObjectId, ids: Sequence[ObjectId]) -> int:
        """Delete files of an account; how many there were. Files go before their chunks, so none is ever half there."""
        rows = self._files.find({"_id": {"$in": list(ids)}, "metadata.user": user}, {"_id": 1})
        own = [row["_id"] for row in rows]
        self._files.delete_many({"_id": {"$in": own}})
        self._chunks.delete_many({"files_id": {"$in": own}})
        return len(own)

    def content(self, file: Document) -> bytes:
        """The bytes of a file."""
        rows = self._chunks.find({"files_id": file["_id"]}, {"_id": 0, "data": 1}).sort("n", 1)
        return b"".join(bytes(row["data"]) for row in rows)

    def delete_some(self, user: ObjectId, most: int) -> int:
        """Delete at most `most` of an account's files; how many there were."""
        ids = [row["_id"] for row in self._files.find({"metadata.user": user}, {"_id": 1}).limit(most)]
        self._chunks.delete_many({"files_id": {"$in": ids}})
        return self._files.delete_many({"_id": {"$in": ids}}).deleted_count
