"""The outbound queue: a GridFS file with the body, and an entry per recipient, as ZoneMTA reads them.

Mail is enqueued here and looked at by operators. Who sends it claims its recipients, see `storage.queue.claims`.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from bson import ObjectId
from gridfs import GridFSBucket
from pymongo.write_concern import WriteConcern

from storage.base.chunks import CHUNK_SIZE
from storage.base.database import (
    ACKNOWLEDGED,
    Clock,
    Condition,
    Databases,
    Projection,
    Session,
    Stages,
    holding,
)
from storage.queue.documents import (
    BodyFile,
    EntryOptions,
    Exchange,
    QueuedMessage,
    QueueEntry,
    QueueEnvelope,
    RelayLogin,
)

QUEUE, ZONE, FREE = "zone-queue", "default", "no"
_BUCKET = "mail"
_LEFT_FOR = timedelta(days=1)
_DELETED = WriteConcern(w=1, j=False)  # what comes back after a crash is swept
SENDING_FIELDS = ("mx", "mxPort", "mxAuth", "mxSecure", "http", "targetUrl")
"""The fields of an entry that say how it is reached."""
_LISTED: Projection = {
    "_id": 0,
    **dict.fromkeys(
        (
            "id", "seq", "recipient", "domain", "sendingZone", "queued", "created", "locked", "assigned", "_deferred",
            *SENDING_FIELDS,
        ),
        1,
    ),
}  # fmt: skip
_SEQUENCES_PER_MS = 4096
_sequence = itertools.count()
_SUFFIX = secrets.token_hex(2)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient; `options` are further fields of its queue document, such as a relay's."""

    recipient: str
    options: EntryOptions = field(default_factory=EntryOptions, repr=False)

    @property
    def domain(self) -> str:
        """What the queue groups connections by."""
        return self.recipient.rpartition("@")[2].strip("[]")


def new_queue_id(now: datetime) -> str:
    """18 hex digits that sort by time: milliseconds × 4096 + a sequence, and a suffix of this process."""
    milliseconds = int(now.timestamp() * 1000)
    return f"{milliseconds * _SEQUENCES_PER_MS + next(_sequence) % _SEQUENCES_PER_MS:014x}{_SUFFIX}"


class OutboundQueue:
    """Repository of queued mail, in the sender's database."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._bucket = GridFSBucket(databases.sender, _BUCKET, CHUNK_SIZE, write_concern=ACKNOWLEDGED)
        self._files = holding(databases.sender[f"{_BUCKET}.files"], BodyFile)
        self._chunks = databases.sender[f"{_BUCKET}.chunks"]
        self._queue = holding(databases.sender[QUEUE], QueueEntry)
        self._clock = clock

    def put(self, envelope: QueueEnvelope, body: bytes) -> None:
        """Store a message to be queued; its id is `envelope["id"]`. Nothing is sent until it has entries."""
        file_id, name = ObjectId(), f"message {envelope['id']}"
        metadata = {"created": self._clock(), "data": envelope}
        self._bucket.upload_from_stream_with_id(file_id, name, body, metadata=metadata)
        self._files.update_one({"_id": file_id}, {"$set": {"contentType": "message/rfc822"}})

    def enqueue(
        self,
        queue_id: str,
        deliveries: Sequence[Delivery],
        send_at: datetime,
        session: Session = None,
    ) -> None:
        """Enqueue a stored message for its recipients, in the transaction of `session` where there is one."""
        rows = _entries(queue_id, deliveries, self._clock(), send_at)
        self._queue.insert_many(rows, session=session)

    def ping(self) -> bool:
        """Return whether the queue can be read; raises within the limit that `pymongo.timeout` sets."""
        self._queue.find_one({}, {"_id": 1})
        return True

    def owner(self, queue_id: str) -> str | None:
        """Return the id of the account that a queued message belongs to, None where no such message is queued."""
        file = self._files.find_one(_named(queue_id), {"metadata.data.userId": 1})
        return str((_envelope_of(file) or {}).get("userId") or "") if file else None

    def remove(self, queue_id: str, seqs: Sequence[str] = ()) -> int:
        """Remove recipients of a message that are not claimed, all without `seqs`; return how many.

        The file goes with the last. Its sender gets no report.
        """
        removed = self._queue.delete_many(_unclaimed(queue_id, seqs)).deleted_count
        self.drop_if_done(queue_id)
        return removed

    def retry(self, queue_id: str, seqs: Sequence[str] = ()) -> int:
        """Have recipients of a message tried again at once, unless they are claimed; return how many."""
        change = {"$set": {"queued": self._clock(), "assigned": FREE}}
        return self._queue.update_many(_unclaimed(queue_id, seqs), change).matched_count

    def drop_if_done(self, queue_id: str) -> None:
        """Remove the file of a message that has no entries left."""
        if self._queue.find_one({"id": queue_id}, {"_id": 1}):
            return
        self._drop([file["_id"] for file in self._files.find(_named(queue_id), {"_id": 1})])

    def _drop(self, files: Sequence[ObjectId]) -> None:
        """Chunks go first: if a crash comes in between, the sweep still finds the file."""
        self._chunks.with_options(write_concern=_DELETED).delete_many({"files_id": {"$in": files}})
        self._files.with_options(write_concern=_DELETED).delete_many({"_id": {"$in": files}})

    def read(self, queue_id: str) -> tuple[QueueEnvelope, bytes] | None:
        """Return the envelope and the body of a queued message, None where no such message is queued."""
        file = self._files.find_one(_named(queue_id), {"metadata.data": 1, "length": 1})
        envelope = _envelope_of(file)
        if not file or not envelope:
            return None
        chunks = self._chunks.find({"files_id": file["_id"]}, {"data": 1}).sort("n", 1)
        body = b"".join(chunk["data"] for chunk in chunks)
        return (envelope, body) if len(body) == file["length"] else None

    def envelope(self, queue_id: str) -> QueueEnvelope | None:
        """Return what is known of a queued message besides its body."""
        file = self._files.find_one(_named(queue_id), {"metadata.data": 1})
        return _envelope_of(file)

    def sweep(self, limit: int) -> int:
        """Remove what crashes left more than a day ago, about `limit` at once; return how many messages these were.

        These are files without entries, and chunks whose file was never written.
        """
        left = self._without_entries(limit) + self._without_file(limit)
        self._drop(left)
        return len(left)

    def _without_entries(self, limit: int) -> list[ObjectId]:
        stages: Stages = [
            {"$match": {"uploadDate": {"$lt": self._clock() - _LEFT_FOR}}},
            {"$project": {"queue_id": {"$arrayElemAt": [{"$split": ["$filename", " "]}, 1]}}},
            {"$lookup": {"from": QUEUE, "localField": "queue_id", "foreignField": "id", "as": "entries"}},
            {"$match": {"entries": []}},
            {"$limit": limit},
            {"$project": {"_id": 1}},
        ]
        return [row["_id"] for row in self._files.aggregate(stages)]

    def _without_file(self, limit: int) -> list[ObjectId]:
        """Chunks are as old as the id of their file, which was made when its upload began."""
        begun = ObjectId.from_datetime(self._clock() - _LEFT_FOR)
        stages: Stages = [
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
            {"$limit": limit},
            {"$project": {"_id": 1}},
        ]
        return [row["_id"] for row in self._chunks.aggregate(stages)]

    def entries(self, queue_ids: Sequence[str]) -> list[QueuedMessage]:
        """Return the recipients that still wait of each of these messages; messages without any are left out."""
        if not queue_ids:
            return []
        projection = {"_id": 0, "id": 1, "seq": 1, "recipient": 1, "sendingZone": 1, "queued": 1}
        rows = self._queue.find({"id": {"$in": list(queue_ids)}}, projection).sort({"id": 1, "seq": 1})
        return [
            {
                "queueId": queue_id,
                "entries": [
                    {
                        "seq": row["seq"],
                        "recipient": row["recipient"],
                        "sendingZone": row["sendingZone"],
                        "queued": row["queued"],
                    }
                    for row in group
                ],
            }
            for queue_id, group in itertools.groupby(rows, key=lambda row: row["id"])
        ]

    def waiting(self, *, domain: str = "", limit: int = 0) -> Iterator[QueueEntry]:
        """Return recipients, claimed or not, the earliest due first; of one domain, or of all."""
        condition = {"sendingZone": ZONE, "locked": {"$in": [False, True]}, "domain": domain}
        rows = self._queue.find(condition if domain else {}, _LISTED)
        yield from rows.sort("queued", 1).limit(limit)

    def recipients(self, queue_id: str) -> list[QueueEntry]:
        """Return the recipients of one message, with all that says how they are reached."""
        return list(self._queue.find({"id": queue_id}, _LISTED).sort("seq", 1))


def _named(queue_id: str) -> Condition:
    return {"filename": f"message {queue_id}"}


def _envelope_of(file: BodyFile | None) -> QueueEnvelope | None:
    metadata = file.get("metadata") if file else None
    return (metadata.get("data") if metadata else None) or None


def _unclaimed(queue_id: str, seqs: Sequence[str]) -> Condition:
    return {"id": queue_id, "locked": False, **({"seq": {"$in": list(seqs)}} if seqs else {})}


def _entries(
    queue_id: str, deliveries: Sequence[Delivery], now: datetime, send_at: datetime
) -> list[QueueEntry]:
    rows = [
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
    return cast("list[QueueEntry]", rows)


def relay_options(host: str, port: int | str, login: RelayLogin | None, *, secure: bool) -> EntryOptions:
    """Further fields of an entry that goes to a given server: its address in `A` or `AAAA` when it is a literal.

    Their order is WildDuck's, whose loop signatures are made of their text.
    """
    exchange: Exchange = {"priority": 0, "mx": True, "exchange": host, "A": [], "AAAA": []}
    if ":" in host:
        exchange["AAAA"] = [host]
    elif host.replace(".", "").isdigit():
        exchange["A"] = [host]
    options: EntryOptions = {"mx": [exchange], "mxPort": port}
    if login:
        options["mxAuth"] = login
    if secure:
        options["mxSecure"] = True
    return {**options, "skipSRS": True, "skipSTS": True}
