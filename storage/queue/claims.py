"""The outbound queue as a sender sees it: recipients are claimed, then removed or deferred.

A claim is a lease. Its owner renews it while it works; once it has expired, any other sender may claim the recipient.
To a ZoneMTA on the same database, a claimed recipient looks as if another ZoneMTA had it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from bson import ObjectId
from pymongo import ReturnDocument

from storage.base.database import Clock, Condition, Databases, Session, holding
from storage.queue.documents import Deferred, EntryOptions, QueueEntry
from storage.queue.outbound_queue import FREE, QUEUE, SENDING_FIELDS, ZONE

_READ_MS = 5000
_LEASE_END = "mallard.until"


@dataclass(frozen=True, slots=True)
class Entry:
    """A claimed recipient of a queued message. `options` say how it is reached where that is not by its domain."""

    key: ObjectId
    queue_id: str
    seq: str
    recipient: str
    domain: str
    created: datetime
    deferred: Deferred = field(default_factory=Deferred)
    options: EntryOptions = field(default_factory=EntryOptions, repr=False)


class QueueClaims:
    """Repository of the recipients of queued mail, for those who send it."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._queue = holding(databases.sender[QUEUE], QueueEntry)
        self._clock = clock

    def has_due(self) -> bool:
        """Return whether there is a recipient to be claimed: a quick look, however many wait for later."""
        due = {"sendingZone": ZONE, "queued": {"$lte": self._clock()}, "locked": False, "assigned": FREE}
        return self._queue.find_one(due, {"_id": 1}, max_time_ms=_READ_MS) is not None

    def claim_next(
        self, owner: str, lease: timedelta, *, after: str = "", busy: Collection[str] = ()
    ) -> Entry | None:
        """Claim what is longest due for the next domain behind `after` that is not `busy`; None if nothing is due."""
        excluded = sorted(busy)
        return self._claim(owner, lease, {"$gt": after, "$nin": excluded}) or (
            self._claim(owner, lease, {"$lte": after, "$nin": excluded}) if after else None
        )

    def claim_for_domain(self, owner: str, lease: timedelta, domain: str) -> Entry | None:
        """Claim what is longest due for one domain; None if nothing is due."""
        return self._claim(owner, lease, domain)

    def _claim(self, owner: str, lease: timedelta, domain: str | Condition) -> Entry | None:
        """The index `turns` leads to the entry: by domain, from each the earliest."""
        now = self._clock()
        condition = {
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
            condition,
            {"$set": claimed},
            sort={"domain": 1, "queued": 1},
            hint="turns",
            return_document=ReturnDocument.AFTER,
        )
        return _entry(row) if row else None

    def renew(self, owner: str, lease: timedelta) -> int:
        """Extend the lease of all that an owner has claimed; return how many these are."""
        held = {"locked": True, "assigned": owner}
        return self._queue.update_many(held, {"$set": {_LEASE_END: self._clock() + lease}}).matched_count

    def release_lapsed(self) -> int:
        """Release all claims whose lease has expired; return how many these are."""
        return self._release({_LEASE_END: {"$lte": self._clock()}, "locked": True})

    def release(self, entry: Entry, owner: str) -> bool:
        """Release a claim untouched. Return whether it was still the owner's."""
        return self._release(_held(entry, owner)) > 0

    def _release(self, condition: Condition) -> int:
        freed = {"$set": {"locked": False, "lockTime": 0, "assigned": FREE}, "$unset": {"mallard": ""}}
        return self._queue.update_many(condition, freed).modified_count

    def defer(self, entry: Entry, owner: str, until: datetime, deferred: Deferred) -> bool:
        """Defer a recipient; `deferred` is kept as `_deferred`. Return whether the claim was still the owner's."""
        change = {"queued": until, "locked": False, "lockTime": 0, "assigned": FREE, "_deferred": deferred}
        done = self._queue.update_one(_held(entry, owner), {"$set": change, "$unset": {"mallard": ""}})
        return done.matched_count > 0

    def finish(self, entry: Entry, owner: str, session: Session = None) -> bool:
        """Remove a finished recipient. Return whether the claim was still the owner's.

        `OutboundQueue.drop_if_done` removes the message after its last recipient.
        """
        return self._queue.delete_one(_held(entry, owner), session=session).deleted_count > 0


def _entry(row: QueueEntry) -> Entry:
    return Entry(
        key=row["_id"],
        queue_id=row["id"],
        seq=row["seq"],
        recipient=row["recipient"],
        domain=row["domain"],
        created=row["created"],
        deferred=row.get("_deferred") or {},
        options=_options(row),
    )


def _options(row: QueueEntry) -> EntryOptions:
    options = {name: value for name, value in row.items() if name in SENDING_FIELDS and value}
    return cast("EntryOptions", options)


def _held(entry: Entry, owner: str) -> Condition:
    return {"_id": entry.key, "locked": True, "assigned": owner}
