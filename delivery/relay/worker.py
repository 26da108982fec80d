"""What is done with one recipient that was claimed."""

from __future__ import annotations

import structlog

from delivery.relay.carrier import Carrier
from delivery.relay.lease import Lease
from delivery.relay.notes import Notes
from delivery.relay.replies import Failure, Reply, temporary
from delivery.relay.source import Source
from problems import summary
from storage.base.database import DatabaseError
from storage.queue.queue import Entry

log = structlog.get_logger()


class Worker:
    """Delivers recipients and has it noted."""

    def __init__(self, source: Source, carrier: Carrier, notes: Notes, lease: Lease) -> None:
        self._source = source
        self._carrier = carrier
        self._notes = notes
        self._lease = lease

    def handle(self, entry: Entry) -> None:
        """Try to deliver, and note at once what became of it."""
        try:
            reply = self._attempt(entry)
        except DatabaseError as error:  # nothing was sent; the claim lapses
            log.error("a message cannot be read", queue_id=entry.queue_id, reason=summary(error))
        except Failure as failure:
            self._notes.failed(entry, failure.reply)
        except Exception as error:  # a fault of ours must not stop the queue, nor lose the recipient
            log.exception("an attempt broke off", queue_id=entry.queue_id, seq=entry.seq)
            self._notes.failed(entry, temporary("4.3.0", f"Internal error: {type(error).__name__}").reply)
        else:
            self._notes.delivered(entry, reply)

    def _attempt(self, entry: Entry) -> Reply:
        message = self._source.read(entry.queue_id)
        if message is None:
            raise temporary("4.3.0", "The message is not in the store")
        if not self._lease.is_held:
            raise temporary("4.3.0", "The claim of the relay had lapsed")
        return self._carrier.carry(entry, message)
