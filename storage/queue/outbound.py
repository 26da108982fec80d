"""The outbound queue: a GridFS file with the body, and a document per recipient, as ZoneMTA reads them."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from gridfs import GridFSBucket
from pymongo.client_session import ClientSession
from pymongo.write_concern import WriteConcern

from storage.base.chunks import CHUNK_SIZE
from storage.base.database import ACKNOWLEDGED, Clock, Databases, Document

QUEUE, ZONE, FREE = "zone-queue", "default", "no"
_BUCKET = "mail"
_LEFT_FOR = timedelta(days=1)
_DELETED = WriteConcern(w=1, j=False)  # what comes back after a crash is swept
_SEQUENCES_PER_MS = 4096
_sequence = itertools.count()
_SUFFIX = secrets.token_hex(2)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient; `options` are further fields of its queue document, such as those of a relay."""

    recipient: str
    options: Document = field(default_factory=dict, repr=False)

    @property
    def domain(self) -> str:
        """What the queue groups connections by."""
        return self.recipient.rpartition("@")[2].strip("[]")


def new_queue_id(now: datetime) -> str:
    """18 hex digits that sort by time: milliseconds × 4096 + a sequence, and a suffix of this process."""
    milliseconds = int(now.timestamp() * 1000)
    return f"{milliseconds * _SEQUENCES_PER_MS + next(_sequence) % _SEQUENCES_PER_MS:014x}{_SUFFIX}"


class Outbound:
    """Repository of queued mail, in the sender's database."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._bucket = GridFSBucket(databases.sender, _BUCKET, CHUNK_SIZE, write_concern=ACKNOWLEDGED)
        self._files = databases.sender[f"{_BUCKET}.files"]
        self._chunks = databases.sender[f"{_BUCKET}.chunks"]
        self._queue = databases.sender[QUEUE]
        self._clock = clock

    def put(self, envelope: Document, body: bytes) -> None:
        """Store a message to be queued; its id is `envelope["id"]`. Nothing is sent until it has entries."""
        file_id, name = ObjectId(), f"message {envelope['id']}"
        metadata = {"created": self._clock(), "data": envelope}
        self._bucket.upload_from_stream_with_id(file_id, name, body, metadata=metadata)
        self._files.update_one({"_id": file_id}, {"$set": {"contentType": "message/rfc822"}})

    def add_entries(
        self,
        queue_id: str,
        deliveries: Sequence[Delivery],
        send_at: datetime,
        session: ClientSession | None = None,
    ) -> None:
        """Queue a stored message for its recipients; with a session, together with what else that changes."""
        rows = _entries(queue_id, deliveries, self._clock(), send_at)
        self._queue.insert_many(rows, session=session)

    def answers(self) -> bool:
        """Whether the queue can be read; raises within the limit that `pymongo.timeout` sets."""
        self._queue.find_one({}, {"_id": 1})
        return True

    def owner(self, queue_id: str) -> str | None:
        """The id of the account that a queued message belongs to, None where no such message is queued."""
        file = self._files.find_one(_named(queue_id), {"metadata.data.userId": 1})
        data = ((file or {}).get("metadata") or {}).get("data") or {}
        return str(data.get("userId") or "") if file else None

    def remove(self, queue_id: str) -> int:
        """Take back all entries that no sender has claimed; the file goes with the last. How many went."""
        removed = self._queue.delete_many({"id": queue_id, "locked": False}).deleted_count
        self.drop_if_done(queue_id)
        return removed

    def drop_if_done(self, queue_id: str) -> None:
        """Remove the file of a message that has no entries any more."""
        if self._queue.find_one({"id": queue_id}, {"_id": 1}):
            return
        self._drop([file["_id"] for file in self._files.find(_named(queue_id), {"_id": 1})])

    def _drop(self, files: Sequence[ObjectId]) -> None:
        """The pieces first: of what a crash leaves, the sweep finds the file."""
        self._chunks.with_options(write_concern=_DELETED).delete_many({"files_id": {"$in": files}})
        self._files.with_options(write_concern=_DELETED).delete_many({"_id": {"$in": files}})

    def read(self, queue_id: str) -> tuple[Document, bytes] | None:
        """The envelope and the body of a queued message, None where there is no such message."""
        file = self._files.find_one(_named(queue_id), {"metadata.data": 1, "length": 1})
        envelope = ((file or {}).get("metadata") or {}).get("data")
        if not file or not envelope:
            return None
        pieces = self._chunks.find({"files_id": file["_id"]}, {"data": 1}).sort("n", 1)
        body = b"".join(piece["data"] for piece in pieces)
        return (envelope, body) if len(body) == file["length"] else None

    def envelope(self, queue_id: str) -> Document | None:
        """What is known of a queued message, its body apart."""
        file = self._files.find_one(_named(queue_id), {"metadata.data": 1})
        return ((file or {}).get("metadata") or {}).get("data") or None

    def sweep(self, most: int) -> int:
        """Remove what crashes have left for a day, about `most` at once; how many messages these were.

        Files without entries, and pieces whose file never came.
        """
        left = self._without_entries(most) + self._without_file(most)
        self._drop(left)
        return len(left)

    def _without_entries(self, most: int) -> list[ObjectId]:
        stages: list[Document] = [
            {"$match": {"uploadDate": {"$lt": self._clock() - _LEFT_FOR}}},
            {"$project": {"queue_id": {"$arrayElemAt": [{"$split": ["$filename", " "]}, 1]}}},
            {"$lookup": {"from": QUEUE, "localField": "queue_id", "foreignField": "id", "as": "entries"}},
            {"$match": {"entries": []}},
            {"$limit": most},
            {"$project": {"_id": 1}},
        ]
        return [row["_id"] for row in self._files.aggregate(stages)]

    def _without_file(self, most: int) -> list[ObjectId]:
        """How old pieces are tells the id of their file, which was made when its upload began."""
        begun = ObjectId.from_datetime(self._clock() - _LEFT_FOR)
        stages: list[Document] = [
            {"$match": {"files_id": {"$lt": begun}}},
            {"$group": {"_id": "$files_id"}},
            {
                "$lookup": {
                    "from": self._files.name,
                    "localField": "_id",
                    "foreignField": "_id",
                    "as": "files",
                }
            },
            {"$match": {"files": []}},
            {"$limit": most},
            {"$project": {"_id": 1}},
        ]
        return [row["_id"] for row in self._chunks.aggregate(stages)]

    def entries(self, queue_ids: Sequence[str]) -> list[Document]:
        """`[{queueId, entries: [{seq, recipient, sendingZone, queued}]}]` of those that are still queued."""
        if not queue_ids:
            return []
        projection = {"_id": 0, "id": 1, "seq": 1, "recipient": 1, "sendingZone": 1, "queued": 1}
        rows = self._queue.find({"id": {"$in": list(queue_ids)}}, projection).sort({"id": 1, "seq": 1})
        return [
            {"queueId": queue_id, "entries": [{k: v for k, v in row.items() if k != "id"} for row in group]}
            for queue_id, group in itertools.groupby(rows, key=lambda row: row["id"])
        ]


def _named(queue_id: str) -> Document:
    return {"filename": f"message {queue_id}"}


def _entries(
    queue_id: str, deliveries: Sequence[Delivery], now: datetime, send_at: datetime
) -> list[Document]:
    return [
        {
            "id": queue_id,
            "seq": f"{number:03x}",
            "domain": delivery.domain,
            "sendingZone": ZONE,
            "assigned": FREE,
            "recipient": delivery.recipient,
            "locked": False,
            "lockTime": 0,
            "queued": send_at,
            "created": now,
            **delivery.options,
        }
        for number, delivery in enumerate(deliveries, 1)
    ]


def relay_options(host: str, port: int | str, login: dict[str, Any] | None, *, secure: bool) -> Document:
    """Further fields of an entry that goes to a given server: its address in `A` or `AAAA` when it is a literal.

    Their order is WildDuck's, whose marks against loops are made of their text.
    """
    exchange = {"priority": 0, "mx": True, "exchange": host, "A": [], "AAAA": []}
    if ":" in host:
        exchange["AAAA"] = [host]
    elif host.replace(".", "").isdigit():
        exchange["A"] = [host]
    return {
        "mx": [exchange],
        "mxPort": port,
        **({"mxAuth": login} if login else {}),
        **({"mxSecure": True} if secure else {}),
        "skipSRS": True,
        "skipSTS": True,
    }
