"""What the sides of the messages repository share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.store import Store

READ_MS = 120_000


class MessagesBase:
    """The collection, and the other repositories that a change of a message touches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._collection = store.databases.main["messages"]
        self._mailboxes_name = "mailboxes"
