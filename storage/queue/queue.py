"""The outbound queue as a sender sees it: recipients are claimed, then removed or put off.

A claim is a lease. Its owner renews it while it works; once it has run out, any other sender may have the recipient.
What is claimed looks to a ZoneMTA beside us as if another ZoneMTA had it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.client_session import ClientSession

from storage.base.database import Clock, Databases, Document
from storage.queue.outbound import FREE, QUEUE, ZONE, Outbound

_READ_MS = 5000
_LEASE_END = "mallard.until"
_OF_SENDING = ("mx", "mxPort", "mxAuth", "mxSecure", "http", "targetUrl")
_SHOWN = (
    "id",
    "seq",
    "recipient",
    "domain",
    "sendingZone",
    "queued",
    "created",
    "locked",
    "assigned",
    "_deferred",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A claimed recipient of a queued message. `options` say how it is reached where that is not by its domain."""

    key: ObjectId
    queue_id: str
    seq: str
    recipient: str
    domain: str
    created: datetime
    deferred: Document = field(default_factory=dict)
    options: Document = field(default_factory=dict, repr=False)


class Queue:
    """Repository of the recipients of queued mail, for those who send it."""

    def __init__(self, databases: Databases, clock: Clock, outbound: Outbound) -> None:
        self._queue = databases.sender[QUEUE]
        self._clock = clock
        self._outbound = outbound

    def has_due(self) -> bool:
        """Whether there is a recipient to be claimed: a quick look, however many wait for later."""
        due = {"sendingZone": ZONE, "queued": {"$lte": self._clock()}, "locked": False, "assigned": FREE}
        return self._queue.find_one(due, {"_id": 1}, max_time_ms=_READ_MS) is not None

    def claim_next(
        self, owner: str, lease: timedelta, *, after: str = "", busy: Collection[str] = ()
    ) -> Entry | None:
        """Claim what is longest due for the next domain in turn behind `after` that is not `busy`, None if none is."""
        without = sorted(busy)
        return self._claim(owner, lease, {"$gt": after, "$nin": without}) or (
            self._claim(owner, lease, {"$lte": after, "$nin": without}) if after else None
        )

    def claim_of(self, owner: str, lease: timedelta, domain: str) -> Entry | None:
        """Claim what is longest due for one domain, None if nothing is."""
        return self._claim(owner, lease, domain)

    def _claim(self, owner: str, lease: timedelta, domain: Any) -> Entry | None:
        """The index `turns` leads to the entry: by domain, from each the earliest."""
        now = self._clock()
        wanted = {
            "sendingZone": ZONE,
            "locked": False,
            "assigned": FREE,
            "domain": domain,
            "queued": {"$lte": now},
        }
        claimed = {
            "locked": True,
            "lockTime": int(now.timestamp() * 1000),
            "assigned": owner,
            _LEASE_END: now + lease,
        }
        row = self._queue.find_one_and_update(
            wanted,
            {"$set": claimed},
            sort={"domain": 1, "queued": 1},
            hint="turns",
            return_document=ReturnDocument.AFTER,
        )
        return _entry(row) if row else None

    def renew(self, owner: str, lease: timedelta) -> int:
        """Hold all that an owner has claimed for longer; how many these are."""
        held = {"locked": True, "assigned": owner}
        return self._queue.update_many(held, {"$set": {_LEASE_END: self._clock() + lease}}).matched_count

    def release_lapsed(self) -> int:
        """Free what senders had claimed that are dead by now; how many these are."""
        return self._release({_LEASE_END: {"$lte": self._clock()}, "locked": True})

    def release(self, entry: Entry, owner: str) -> bool:
        """Give a claim back untouched; whether it was still the owner's."""
        return self._release(_held(entry, owner)) > 0

    def _release(self, wanted: Document) -> int:
        freed = {"$set": {"locked": False, "lockTime": 0, "assigned": FREE}, "$unset": {"mallard": ""}}
        return self._queue.update_many(wanted, freed).modified_count

    def defer(self, entry: Entry, owner: str, until: datetime, deferred: Document) -> bool:
        """Put a recipient off; `deferred` is kept as `_deferred`. Whether the claim was still the owner's."""
        change = {"queued": until, "locked": False, "lockTime": 0, "assigned": FREE, "_deferred": deferred}
        done = self._queue.update_one(_held(entry, owner), {"$set": change, "$unset": {"mallard": ""}})
        return done.matched_count > 0

    def finish(self, entry: Entry, owner: str, session: ClientSession | None = None) -> bool:
        """Remove a recipient that is through; whether the claim was still the owner's. See `drop_if_done`."""
        return self._queue.delete_one(_held(entry, owner), session=session).deleted_count > 0

    def drop_if_done(self, queue_id: str) -> None:
        """Remove a message that no recipient is left of."""
        self._outbound.drop_if_done(queue_id)

    def waiting(self, *, domain: str = "", limit: int = 0) -> Iterator[Document]:
        """Recipients as they are shown, the earliest due first; of one domain, or of all."""
        wanted: Document = {"sendingZone": ZONE, "locked": {"$in": [False, True]}, "domain": domain}
        rows = self._queue.find(wanted if domain else {}, _shown(*_OF_SENDING))
        yield from rows.sort("queued", 1).limit(limit)

    def recipients(self, queue_id: str) -> list[Document]:
        """The recipients of one message as they are shown, with all that says how they are reached."""
        return list(self._queue.find({"id": queue_id}, _shown(*_OF_SENDING)).sort("seq", 1))

    def retry(self, queue_id: str, seqs: Sequence[str] = ()) -> int:
        """Have recipients of a message tried again at once, unless they are being tried; how many."""
        change = {"$set": {"queued": self._clock(), "assigned": FREE}}
        return self._queue.update_many(_unclaimed(queue_id, seqs), change).matched_count

    def remove(self, queue_id: str, seqs: Sequence[str] = ()) -> int:
        """Remove recipients of a message that are not being tried, without a word to its sender; how many."""
        removed = self._queue.delete_many(_unclaimed(queue_id, seqs)).deleted_count
        self._outbound.drop_if_done(queue_id)
        return removed


def _entry(row: Document) -> Entry:
    return Entry(
        key=row["_id"],
        queue_id=row["id"],
        seq=row["seq"],
        recipient=row["recipient"],
        domain=row["domain"],
        created=row["created"],
        deferred=row.get("_deferred") or {},
        options={name: row[name] for name in _OF_SENDING if row.get(name)},
    )


def _held(entry: Entry, owner: str) -> Document:
    return {"_id": entry.key, "locked": True, "assigned": owner}


def _unclaimed(queue_id: str, seqs: Sequence[str]) -> Document:
    return {"id": queue_id, "locked": False, **({"seq": {"$in": list(seqs)}} if seqs else {})}


def _shown(*more: str) -> Document:
    return {"_id": 0, **dict.fromkeys((*_SHOWN, *more), 1)}
