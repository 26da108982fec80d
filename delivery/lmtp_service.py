"""What the connections of the LMTP server share: threads for the work with the database, and the work itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from delivery.arrival import Arrival, Envelope, Reading
from delivery.dotdata import DotData
from delivery.inbound import Inbound, Outcome
from delivery.recipients import Recipient, Recipients
from delivery.replies import TEMPORARY, Refused, reply_to

if TYPE_CHECKING:
    from delivery.lmtp import Connection

log = structlog.get_logger()

_LOOK_SECONDS = 0.05


class Service:
    """Used on one event loop. No more messages are in memory at a time than `at_once`, others wait in their spools."""

    def __init__(
        self,
        *,
        name: str,
        largest: int,
        clock: Callable[[], datetime],
        recipients: Recipients,
        reading: Reading,
        inbound: Inbound,
        lookups: Executor,
        deliveries: Executor,
        at_once: int,
        spool_folder: str | None = None,
    ) -> None:
        self.name = name
        self.largest = largest
        self.clock = clock
        self.spool_folder = spool_folder
        self.connections: set[Connection] = set()
        self.is_stopping = False
        self._recipients = recipients
        self._reading = reading
        self._inbound = inbound
        self._lookups = lookups
        self._deliveries = deliveries
        self._turns = asyncio.Semaphore(at_once)

    async def find(self, address: str, size: int) -> Recipient:
        """The recipient behind an address. Raises Refused, for now where it can not be told."""
        try:
            found: Recipient = await self._in(self._lookups, self._recipients.find, address, size)
        except Exception as error:
            raise Refused(_reply_to_fault(error)) from error
        return found

    async def deliver(
        self, envelope: Envelope, data: DotData, recipients: Sequence[Recipient]
    ) -> AsyncIterator[str]:
        """Deliver a message: a reply for each recipient in their order, each as soon as it is there."""
        async with self._turns:
            try:
                arrival = await self._in(self._deliveries, self._arrival, envelope, data)
            except Exception as error:
                reply = _reply_to_fault(error)
                for _ in recipients:
                    yield reply
                return
            for outcome in [asyncio.ensure_future(self._one(arrival, each)) for each in recipients]:
                yield await outcome

    async def stop(self, seconds: float) -> None:
        """Say good-bye to the clients, and wait for those that still get replies."""
        self.is_stopping = True
        for connection in list(self.connections):
            connection.stop()
        deadline = asyncio.get_running_loop().time() + seconds
        while self.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
        if self.connections:
            log.warning("clients were cut off while they waited", count=len(self.connections))

    def _arrival(self, envelope: Envelope, data: DotData) -> Arrival:
        return self._reading.arrival(envelope, data.content())

    async def _one(self, arrival: Arrival, recipient: Recipient) -> str:
        try:
            outcome: Outcome = await self._in(self._deliveries, self._inbound.deliver, arrival, recipient)
        except Exception as error:
            return _reply_to_fault(error)
        return outcome.reply

    async def _in(self, executor: Executor, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(executor, work, *arguments)


def _reply_to_fault(error: Exception) -> str:
    """What is told of a failure; one that nobody foresaw is logged whole, and the message comes again."""
    if known := reply_to(error):
        log.info("refused", reply=known, reason=str(error)[:200])
        return known
    log.error("a delivery failed", exc_info=error)
    return TEMPORARY
