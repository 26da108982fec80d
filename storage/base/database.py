"""The databases, the clock, and steps that belong together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar, cast

import pymongo
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from storage.base.watch import Watch, WatchedDatabase

Result = TypeVar("Result")
Row = TypeVar("Row", bound=Mapping[str, Any])
Document = dict[str, Any]
Clock = Callable[[], datetime]

Session: TypeAlias = ClientSession | None
"""The transaction that a step belongs to; None without transactions, or outside of one."""
Condition: TypeAlias = Mapping[str, Any]
"""A filter: what `find` selects by."""
Change: TypeAlias = Mapping[str, Any]
"""An update document, or the fields that one sets."""
Projection: TypeAlias = Mapping[str, Any]
"""The fields that are read."""
Stages: TypeAlias = Sequence[Mapping[str, Any]]
"""An aggregation pipeline."""

DatabaseError = (
    PyMongoError  # what a failing operation raises, for callers on other floors who can go on without
)

BAD_DOCUMENT = (PyMongoError, BSONError, LookupError, TypeError, AttributeError)
"""What a document raises that cannot be read, moved or removed as it is."""
SWEEP_MS = 120_000
"""How long a query may take that goes over many documents, in milliseconds."""

ACKNOWLEDGED = WriteConcern(w="majority", j=True)
_CODEC: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=UTC)
NAIVE_DATES: CodecOptions[Document] = CodecOptions()
"""For the rows of a listing, whose dates are only written out: these come as UTC without saying so, which takes a
tenth of the time."""


def utc_now() -> datetime:
    """The time now, in UTC, cut to the milliseconds that MongoDB keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def time_limit(seconds: float) -> AbstractContextManager[object]:
    """Within it, everything asked of the database takes at most that long together; then DatabaseError is raised."""
    return pymongo.timeout(seconds)


def may_be_committed(error: BaseException) -> bool:
    """Whether a transaction may have been committed although its answer was lost; then what it refers to must stay."""
    return isinstance(error, PyMongoError) and error.has_error_label("UnknownTransactionCommitResult")


def holding(collection: Collection[Document], row: type[Row]) -> Collection[Row]:
    """Return a collection as one of rows of this TypedDict. It is a promise: MongoDB takes whatever it is given."""
    return cast("Collection[Row]", collection)


def delete_rows_of(collection: Collection[Row], user: ObjectId, limit: int) -> int:
    """Delete at most `limit` rows of an account from a collection, and return how many there were."""
    ids = [row["_id"] for row in collection.find({"user": user}, {"_id": 1}).limit(limit)]
    return collection.delete_many({"_id": {"$in": ids}}).deleted_count if ids else 0


@dataclass(frozen=True, slots=True)
class DatabaseNames:
    """The databases by their role; WildDuck may keep each in one of its own."""

    main: str = "mallard"
    users: str = ""
    gridfs: str = ""
    sender: str = ""


class Databases:
    """Handles of the four databases, all with majority writes and dates in UTC."""

    def __init__(
        self, client: MongoClient[Document], names: DatabaseNames, watch: Watch | None = None
    ) -> None:
        self.client = client
        self.watch = watch
        self.names = names
        self.main = self._open(names.main)
        self.users = self._open(names.users or names.main)
        self.gridfs = self._open(names.gridfs or names.main)
        self.sender = self._open(names.sender or names.main)

    def _open(self, name: str) -> Database[Document]:
        if self.watch is None:
            return self.client.get_database(name, codec_options=_CODEC, write_concern=ACKNOWLEDGED)
        return WatchedDatabase(
            self.watch, self.client, name, codec_options=_CODEC, write_concern=ACKNOWLEDGED
        )

    def ping(self) -> bool:
        """Return whether a primary answers; raises within the limit that `pymongo.timeout` sets."""
        return bool(self.client.admin.command("ping")["ok"])

    @property
    def has_transactions(self) -> bool:
        """Whether the server is a replica set or a sharded cluster."""
        hello = self.client.admin.command("hello")
        return "setName" in hello or hello.get("msg") == "isdbgrid"


class Transactions:
    """Runs steps that belong together as one transaction where the server has transactions.

    A lone `mongod` has none: there the steps run one after the other, so callers order them so that a crash
    in between leaves nothing that the next call or a job does not repair.
    """

    def __init__(self, databases: Databases) -> None:
        self._client = databases.client
        self._watch = databases.watch or Watch()
        self.available = databases.has_transactions
        self._waiting: dict[int, list[Callable[[], None]]] = {}

    def run(self, steps: Callable[[ClientSession | None], Result]) -> Result:
        """Call `steps` with a session, again from the start if it lost a race against another transaction."""
        if not self.available:
            return steps(None)
        with self._client.start_session() as session:
            return self._run_in(session, steps)

    def _run_in(self, session: ClientSession, steps: Callable[[ClientSession | None], Result]) -> Result:
        ended = 0.0

        def attempt(session: ClientSession) -> Result:
            nonlocal ended
            self._waiting[id(session)] = []
            try:
                return steps(session)
            finally:
                ended = time.perf_counter()

        try:
            result = session.with_transaction(
                attempt, read_concern=ReadConcern("snapshot"), write_concern=ACKNOWLEDGED
            )
        finally:
            waiting = self._waiting.pop(id(session), [])
            if ended:
                self._watch.took("commitTransaction", "", time.perf_counter() - ended, ())
        for callback in waiting:
            callback()
        return result

    def afterwards(self, session: ClientSession | None, callback: Callable[[], None]) -> None:
        """Call back once the transaction of `session` is committed, not at all if it is not.

        At once where there is no session, or where another than `run` looks after it.
        """
        waiting = self._waiting.get(id(session)) if session else None
        if waiting is None:
            callback()
        else:
            waiting.append(callback)


_DUPLICATE = 11000


def is_duplicate(error: Exception) -> bool:
    """Whether a unique index alone was against it."""
    if not isinstance(error, BulkWriteError):
        return isinstance(error, DuplicateKeyError)
    faults = _faults(error)
    concern = (error.details or {}).get("writeConcernErrors")
    return bool(faults) and not concern and all(code == _DUPLICATE for _, code in faults)


def has_duplicate(error: BulkWriteError) -> bool:
    """Return whether a unique index was against one of the writes."""
    return any(code == _DUPLICATE for _, code in _faults(error))


def refused(error: BulkWriteError) -> set[int]:
    """Positions of the documents that were not written."""
    return {position for position, _ in _faults(error)}


def _faults(error: BulkWriteError) -> list[tuple[int, int]]:
    return [(fault["index"], fault["code"]) for fault in (error.details or {}).get("writeErrors") or ()]
