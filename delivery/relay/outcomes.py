"""What a relay has claimed, on a lease, and what became of it, noted in the queue the moment it is known."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from delivery.relay.bounce import Bounce, bounce
from delivery.relay.replies import Reply
from delivery.relay.schedule import Schedule, pauses
from delivery.sending.enqueue import enqueueing
from problems import summary
from storage.base.database import DatabaseError, Session
from storage.queue.claims import Entry, QueueClaims
from storage.queue.documents import QueueEnvelope
from storage.store import Store

log = structlog.get_logger()

_PAUSE_SECONDS = 0.5


def new_owner() -> str:
    """The name of a relay process, as its claims have it."""
    return f"mallard-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Lease:
    """The claims of one process. By its own watch it knows when they may have lapsed; then it begins nothing."""

    def __init__(
        self,
        claims: QueueClaims,
        span: timedelta,
        owner: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.owner = owner or new_owner()
        self.span = span
        self._claims = claims
        self._monotonic = monotonic
        self._renewed = monotonic()

    @property
    def is_held(self) -> bool:
        """Return whether nobody else can have what was claimed."""
        return self._monotonic() - self._renewed < self.span.total_seconds()

    def renew(self) -> None:
        """Hold all that is claimed for longer, and free what relays that are gone had."""
        asked = self._monotonic()
        self._claims.renew(self.owner, self.span)
        self._renewed = asked
        if freed := self._claims.release_lapsed():
            log.warning("another relay is gone, its recipients are free again", recipients=freed)


class ClaimLost(Exception):
    """Another relay has the recipient now."""


class Outcomes:
    """Writes down what became of recipients. `name` is what the relay calls itself in reports."""

    def __init__(
        self, store: Store, lease: Lease, name: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store = store
        self._lease = lease
        self._name = name
        self._sleep = sleep

    def delivered(self, entry: Entry, reply: Reply) -> None:
        """It is through: out of the queue with it, and with the message after its last recipient."""
        self._insist(entry, lambda: self._finish(entry))
        log.info("delivered", **_facts(entry, reply))

    def failed(self, entry: Entry, reply: Reply) -> None:
        """Put it off, or give it up and report that to the sender."""
        self._insist(entry, lambda: self._fail(entry, reply))

    def _insist(self, entry: Entry, step: Callable[[], None]) -> None:
        """Once a server has accepted a message, a note that is not written is a message that is sent twice."""
        while True:
            try:
                step()
                return
            except ClaimLost:
                log.warning("the claim had lapsed", queue_id=entry.queue_id, seq=entry.seq)
                return
            except DatabaseError as error:
                log.error("not noted yet", queue_id=entry.queue_id, seq=entry.seq, reason=summary(error))
                if not self._lease.is_held:
                    return
            self._sleep(_PAUSE_SECONDS)

    def _finish(self, entry: Entry) -> None:
        if not self._store.queue_claims.finish(entry, self._lease.owner):
            raise ClaimLost
        self._store.outbound_queue.drop_if_done(entry.queue_id)

    def _fail(self, entry: Entry, reply: Reply) -> None:
        now = self._store.clock()
        schedule = Schedule(pauses(str(self._store.settings.get("const:sender:defer_times"))))
        later = None if reply.is_permanent else schedule.next(entry.deferred, reply, now)
        if later is None:
            self._give_up(entry, reply, now)
            return
        until, deferred = later
        if not self._store.queue_claims.defer(entry, self._lease.owner, until, deferred):
            raise ClaimLost
        log.info("deferred", until=until.isoformat(), attempt=deferred["count"], **_facts(entry, reply))

    def _give_up(self, entry: Entry, reply: Reply, now: datetime) -> None:
        envelope = self._store.outbound_queue.envelope(entry.queue_id)
        report = (
            bounce(envelope, entry, reply, name=self._name, now=now, arrived=_arrival(envelope, entry))
            if envelope
            else None
        )
        if report:
            self._report(entry, report)
        else:
            self._finish(entry)
        log.warning(
            "given up", reported_to=report.recipients[0] if report else "nobody", **_facts(entry, reply)
        )

    def _report(self, entry: Entry, report: Bounce) -> None:
        """The recipient leaves the queue as the report enters it."""
        with enqueueing(self._store, report) as queued:

            def steps(session: Session) -> None:
                queued.release(session)
                if not self._store.queue_claims.finish(entry, self._lease.owner, session):
                    raise ClaimLost

            self._store.transactions.run(steps)
        self._store.outbound_queue.drop_if_done(entry.queue_id)


def _arrival(envelope: QueueEnvelope, entry: Entry) -> datetime:
    given = envelope.get("time")
    return datetime.fromtimestamp(given / 1000, UTC) if isinstance(given, int | float) else entry.created


def _facts(entry: Entry, reply: Reply) -> dict[str, str]:
    """What the log says of an attempt; recipient, not the target, which may have a password."""
    return {
        "queue_id": entry.queue_id,
        "seq": entry.seq,
        "recipient": entry.recipient,
        "host": reply.host,
        "response": str(reply),
    }
