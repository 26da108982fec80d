"""Search tokens for messages that WildDuck stored."""

from __future__ import annotations

import structlog
from pymongo import UpdateOne

from mail.search_tokens import ANY, search_tokens
from problems import summary
from storage.base.database import SWEEP_MS, Condition, Databases, holding
from storage.messages.documents import Message

log = structlog.get_logger()

TOKENS = "mallard.search"
"""The field with the tokens that a message is found by."""


class SearchTokens:
    """Tokens are of our own and change nothing that a client sees, so no sequence moves and no event is emitted."""

    def __init__(self, databases: Databases) -> None:
        self._collection = holding(databases.main["messages"], Message)

    def fill(self, limit: int) -> int:
        """Give tokens to messages that have none, of at most `limit`; how many there were.

        Those are found in an index that holds nothing else. What got tokens meanwhile is left as it is.
        """
        lacking: Condition = {TOKENS: None}
        found = self._collection.find(lacking, {"headers": 1}, max_time_ms=SWEEP_MS).hint("mallard_tokenless")
        rows = list(found.limit(limit))
        updates = [
            UpdateOne({"_id": row["_id"], **lacking}, {"$set": {TOKENS: _tokens(row)}}) for row in rows
        ]
        if updates:
            self._collection.bulk_write(updates, ordered=False)
        return len(rows)


def _tokens(row: Message) -> list[str]:
    """A document whose headers nobody can read is left to be looked at by every search."""
    try:
        return search_tokens(row.get("headers") or ())
    except (AttributeError, KeyError, TypeError) as error:
        log.warning("headers of a message cannot be read", message=str(row["_id"]), reason=summary(error))
        return [ANY]
