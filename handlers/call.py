"""What an operation needs to know of the request it answers, besides its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bson import ObjectId

from accounts.context import Context
from delivery.sending.send import Outbox
from updates.listeners import Streams

Body: TypeAlias = Mapping[str, Any]
"""The body of a request, after the contract's checks and defaults."""
Answer: TypeAlias = dict[str, Any]
"""What an operation answers, before it becomes JSON."""


def do_nothing() -> None:
    """There is no connection that could be cut."""


@dataclass(frozen=True, slots=True)
class Call(Context):
    """One request.

    `own_only` is the account that a listing must be restricted to, None when the caller may list all. `streams` are
    the event streams of this process, `disconnect` cuts the connection that the request came by.
    """

    own_only: ObjectId | None = None
    streams: Streams | None = None
    disconnect: Callable[[], None] = do_nothing

    @property
    def outbox(self) -> Outbox:
        """Through which this request sends messages."""
        return Outbox(self.store, ip=self.ip, sess=self.sess, offload=self.offload)
