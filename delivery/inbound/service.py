"""What the connections of the LMTP server share: threads for the work with the database, and the work itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

import structlog

from delivery.inbound.arrival import Arrival, Envelope, Reading
from delivery.inbound.recipients import Recipient, Recipients
from delivery.inbound.replies import TEMPORARY, Refused, reply_to
from delivery.inbound.semaphore import Semaphore
from delivery.inbound.storing import Inbound
from delivery.inbound.syntax import DotData
from problems import summary

log = structlog.get_logger()

_LOOK_SECONDS = 0.05
_LARGE = 1024 * 1024
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Client(Protocol):
    """A connection, as the service sees it."""

    def stop(self) -> None:
        """End it: at once if it is idle, else after the replies that the client waits for."""


class Service:
    """Used on one event loop.

    Messages that are delivered are in memory, together no more than the largest that is taken; others wait in their
    spools. A large one is delivered to its recipients one after the other, as each has its own copy.
    """

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
    ) -> None:
        self.name = name
        self.largest = largest
        self.clock = clock
        self.connections: set[Client] = set()
        self.is_stopping = False
        self._recipients = recipients
        self._reading = reading
        self._inbound = inbound
        self._lookups = lookups
        self._deliveries = deliveries
        self._memory = Semaphore(largest)

    async def find(self, address: str, size: int) -> Recipient:
        """Return the recipient behind an address. Raises Refused, with a temporary reply where the look-up failed."""
        try:
            return await _run_in(self._lookups, self._recipients.find, address, size)
        except Exception as error:
            raise Refused(_reply_to_fault(error)) from error

    async def deliver(
        self, envelope: Envelope, data: DotData, recipients: Sequence[Recipient]
    ) -> AsyncGenerator[str, None]:
        """Deliver a message: a reply for each recipient in their order, each as soon as it is known."""
        async with self._memory.acquired(data.size):
            try:
                arrival = await _run_in(self._deliveries, self._arrival, envelope, data)
            except Exception as error:
                reply = _reply_to_fault(error)
                for _ in recipients:
                    yield reply
                return
            work = [partial(self._one, arrival, recipient) for recipient in recipients]
            if data.size > _LARGE:
                for each in work:
                    yield await each()
            else:
                for task in [asyncio.ensure_future(each()) for each in work]:
                    yield await task

    async def stop(self, seconds: float) -> None:
        """Say good-bye to the clients, and wait for those that still get replies."""
        self.is_stopping = True
        deadline = asyncio.get_running_loop().time() + seconds
        while self.connections and asyncio.get_running_loop().time() < deadline:
            for connection in list(self.connections):
                connection.stop()
            await asyncio.sleep(_LOOK_SECONDS)
        if self.connections:
            log.warning("clients were cut off while they waited", count=len(self.connections))

    def _arrival(self, envelope: Envelope, data: DotData) -> Arrival:
        return self._reading.arrival(envelope, data.content())

    async def _one(self, arrival: Arrival, recipient: Recipient) -> str:
        try:
            outcome = await _run_in(self._deliveries, self._inbound.deliver, arrival, recipient)
        except Exception as error:
            return _reply_to_fault(error)
        return outcome.reply


async def _run_in(
    executor: Executor,
    work: Callable[Parameters, Result],
    *args: Parameters.args,
    **kwargs: Parameters.kwargs,
) -> Result:
    return await asyncio.get_running_loop().run_in_executor(executor, partial(work, *args, **kwargs))


def _reply_to_fault(error: Exception) -> str:
    """The reply to a failure; one that nobody foresaw is logged whole, and the message comes again."""
    if known := reply_to(error):
        log.info("refused", reply=known, reason=summary(error))
        return known
    log.error("a delivery failed", exc_info=error)
    return TEMPORARY
