"""Emits events to webhooks: `store.events.emit("mailbox.created", user=…, mailbox=…, path=…, session=session)`.

An event is queued at once, for each hook that wants it, in the transaction of the change that it reports: both are
stored or neither. On a server without transactions the event follows its change, and a crash between them loses it.
The order of an account's events is the order of their changes: each takes a number of the account in its transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bson import ObjectId
from pymongo import ReturnDocument

from storage.base.database import Clock, Databases, Session, Transactions, holding
from storage.events.catalogue import CATALOGUE
from storage.events.documents import EventBody, EventFields, EventOrderRow, WebhookQueueEntry
from storage.events.webhook_queue import WebhookQueue, lane_of
from storage.events.webhooks import Hook, Webhooks

Result = TypeVar("Result")
ORDER = "eventorder"
_KEPT = timedelta(days=30)
_SERVICE = "service"


class Events:
    """The one place where events begin. Types and fields stand in `storage.events.catalogue`."""

    def __init__(
        self,
        databases: Databases,
        clock: Clock,
        transactions: Transactions,
        webhooks: Webhooks,
        queue: WebhookQueue,
    ) -> None:
        self._order = holding(databases.main[ORDER], EventOrderRow)
        self._clock = clock
        self._transactions = transactions
        self._webhooks = webhooks
        self._queue = queue

    def emit(
        self,
        kind: str,
        *,
        user: ObjectId | None = None,
        session: Session = None,
        **fields: Any,
    ) -> None:
        """Emit one event, in the transaction of `session`; fields that are None are left out."""
        self.emit_all(kind, user, [fields], session)

    def emit_all(
        self,
        kind: str,
        user: ObjectId | None,
        events: Iterable[EventFields],
        session: Session = None,
    ) -> None:
        """Emit events of one type and account, in the given order. They are not read where no hook wants them."""
        hooks = self._wanting(kind, user)
        bodies = [self._body(kind, user, fields) for fields in events] if hooks else []
        if not bodies:
            return
        if session is None:
            self._transactions.run(lambda session: self._enqueue_all(hooks, user, bodies, session))
        else:
            self._enqueue_all(hooks, user, bodies, session)

    def in_transaction(self, user: ObjectId | None, steps: Callable[[Session], Result]) -> Result:
        """Run `steps` that change something and emit it, as one transaction where a hook might want the event.

        Without such a hook, a change of one document needs no transaction, and gets no session.
        """
        return self._transactions.run(steps) if self._webhooks.listening(user) else steps(None)

    def has_listeners(self, kind: str, user: ObjectId | None) -> bool:
        """Return whether a hook wants such events; for callers to whom making their fields is work."""
        return bool(self._wanting(kind, user))

    def _wanting(self, kind: str, user: ObjectId | None) -> list[Hook]:
        if CATALOGUE[kind].of_account != (user is not None):
            raise TypeError(f"{kind} is emitted with an account if and only if it is about one")
        return [hook for hook in self._webhooks.listening(user) if hook.wants(kind)]

    def _body(self, kind: str, user: ObjectId | None, fields: EventFields) -> EventBody:
        time = int(self._clock().timestamp() * 1000)
        about = {"user": user} if user else {}
        return {"time": time, "ev": kind, **_plain({**about, **fields})}

    def _enqueue_all(
        self,
        hooks: Sequence[Hook],
        user: ObjectId | None,
        bodies: Sequence[EventBody],
        session: Session,
    ) -> None:
        now = self._clock()
        first = self._numbers(user, len(bodies), now, session) - len(bodies) + 1
        rows = [row for n, body in enumerate(bodies, first) for row in _rows(hooks, user, n, body, now)]
        self._queue.enqueue(rows, session)

    def _numbers(self, user: ObjectId | None, count: int, now: datetime, session: Session) -> int:
        """Take the next numbers of an account; return the last of them.

        They go on from the milliseconds since 1970, so that a counter which has expired begins above its old ones.
        Transactions that take numbers of one account run one after the other.
        """
        base = int(now.timestamp() * 1000)
        next_number = {"$add": [{"$max": [{"$ifNull": ["$n", 0]}, base]}, count]}
        row = self._order.find_one_and_update(
            {"_id": user or _SERVICE},
            [{"$set": {"n": next_number, "expires": now + _KEPT}}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        assert row, "an upsert returns its document"
        return int(row["n"])


def _rows(
    hooks: Sequence[Hook], user: ObjectId | None, number: int, body: EventBody, now: datetime
) -> Iterator[WebhookQueueEntry]:
    """One event for each hook; the ids of their bodies differ in what follows the colon."""
    event = ObjectId()
    for position, hook in enumerate(hooks, 1):
        yield {
            "lane": lane_of(hook.id, user),
            "n": number,
            "hook": hook.id,
            "user": user,
            "target": hook.target,
            "type": str(body["ev"]),
            "body": {"id": f"{event}:{position}", **body},
            "since": now,
        }


def _plain(value: Any) -> Any:
    """As JSON has it: ids as text, dates in ISO 8601, without what is None."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if part is not None}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
