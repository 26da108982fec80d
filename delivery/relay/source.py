"""Queue ids → messages as they are sent. What goes to many recipients is read and signed once."""

from __future__ import annotations

import threading
from collections import OrderedDict

from delivery.relay.message import Message, Sign, made_of, unsigned
from storage.store import Store

_MOST_KEPT = 64
_LARGEST_KEPT = 256 * 1024


class Source:
    """Reads queued messages and signs them."""

    def __init__(self, store: Store, sign: Sign = unsigned) -> None:
        self._outbound = store.outbound
        self._sign = sign
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Message] = OrderedDict()

    def read(self, queue_id: str) -> Message | None:
        """The message, None where it is not there (any more)."""
        with self._lock:
            if kept := self._kept.get(queue_id):
                self._kept.move_to_end(queue_id)
                return kept
        found = self._outbound.read(queue_id)
        if found is None:
            return None
        message = made_of(*found, self._sign)
        if len(message.content) <= _LARGEST_KEPT:
            self._keep(queue_id, message)
        return message

    def _keep(self, queue_id: str, message: Message) -> None:
        with self._lock:
            self._kept[queue_id] = message
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
