"""Room that several share by weight, first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """Used on one event loop. Whoever wants more than there is at all gets all of it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._entrance = asyncio.Lock()
        self._change = asyncio.Event()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Wait for room, and have it for the block. Nobody overtakes one who needs much."""
        size = min(size, self._most)
        async with self._entrance:
            while self._free < size:
                self._change.clear()
                await self._change.wait()
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._change.set()
