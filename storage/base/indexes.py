"""Missing indexes are made, none is dropped or rebuilt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import structlog
from pymongo import ASCENDING, DESCENDING, HASHED, TEXT
from pymongo.database import Database
from pymongo.errors import CollectionInvalid, OperationFailure

from problems import summary
from storage.base.database import Databases, Document
from storage.base.index_table import INDEXES

log = structlog.get_logger()

_CONFLICTS = frozenset({85, 86})  # IndexOptionsConflict, IndexKeySpecsConflict
_NAMESPACE_EXISTS = 48
_COMPRESSED = ("messages", "attachments.files", "attachments.chunks")


def ensure_indexes(databases: Databases) -> list[str]:
    """Make the indexes that are missing; returns `collection.name` of those made.

    An index of the same keys with other options or another name is left as it is.
    """
    return [name for role in INDEXES for name in _ensure_role(getattr(databases, role), INDEXES[role])]


def missing_indexes(databases: Databases) -> list[str]:
    """`collection.name` of those that `ensure_indexes` would make."""
    return [
        f"{collection}.{name}"
        for role, wanted in INDEXES.items()
        for collection, indexes in wanted.items()
        for name in sorted(indexes.keys() - getattr(databases, role)[collection].index_information().keys())
    ]


def _ensure_role(database: Database[Document], wanted: dict[str, Any]) -> Iterator[str]:
    there = set(database.list_collection_names())
    for collection, indexes in wanted.items():
        if collection not in there:
            _create_collection(database, collection)
        known = set(database[collection].index_information())
        for name, (keys, options) in indexes.items():
            if name not in known and _create_index(database, collection, name, keys, options):
                yield f"{collection}.{name}"


def _create_collection(database: Database[Document], name: str) -> None:
    engine = {"wiredTiger": {"configString": "block_compressor=zlib"}}
    options: dict[str, Any] = {"storageEngine": engine} if name in _COMPRESSED else {}
    try:
        database.create_collection(name, **options)
    except CollectionInvalid:
        log.debug("another process made the collection first", collection=name)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        log.debug("another process made the collection first", collection=name)


def _create_index(
    database: Database[Document], collection: str, name: str, keys: str, options: dict[str, Any]
) -> bool:
    try:
        database[collection].create_index([_key(word) for word in keys.split()], name=name, **options)
    except OperationFailure as error:
        if error.code not in _CONFLICTS:
            raise
        log.warning(
            "an index is there in another form", collection=collection, index=name, reason=summary(error)
        )
        return False
    return True


def _key(word: str) -> tuple[str, Any]:
    marks = {"-": DESCENDING, "#": HASHED, "~": TEXT}
    return (word[1:], marks[word[0]]) if word[0] in marks else (word, ASCENDING)
