"""A weighted semaphore: a capacity that several share, first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Semaphore:
    """Used on one event loop. A weight above the whole capacity counts as the whole."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = capacity
        self._entrance = asyncio.Lock()
        self._change = asyncio.Event()

    @asynccontextmanager
    async def acquired(self, weight: int) -> AsyncIterator[None]:
        """Wait until `weight` is free, and hold it for the block. Nobody overtakes one who needs much."""
        weight = min(weight, self._capacity)
        async with self._entrance:
            while self._free < weight:
                self._change.clear()
                await self._change.wait()
            self._free -= weight
        try:
            yield
        finally:
            self._free += weight
            self._change.set()
