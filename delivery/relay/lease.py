"""What a relay has claimed, for how long, and that it is still alive."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from storage.queue.queue import Queue

log = structlog.get_logger()


def new_owner() -> str:
    """The name of a relay process, as its claims have it."""
    return f"mallard-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Lease:
    """The claims of one process. By its own watch it knows when they may have lapsed; then it begins nothing."""

    def __init__(
        self,
        queue: Queue,
        span: timedelta,
        owner: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.owner = owner or new_owner()
        self.span = span
        self._queue = queue
        self._monotonic = monotonic
        self._renewed = monotonic()

    @property
    def is_held(self) -> bool:
        """Return whether nobody else can have what was claimed."""
        return self._monotonic() - self._renewed < self.span.total_seconds()

    def renew(self) -> None:
        """Hold all that is claimed for longer, and free what relays that are gone had."""
        asked = self._monotonic()
        self._queue.renew(self.owner, self.span)
        self._renewed = asked
        if freed := self._queue.release_lapsed():
            log.warning("another relay is gone, its recipients are free again", recipients=freed)
