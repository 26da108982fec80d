"""Brand indicators: logos of senders, which WildDuck looks up as messages come and keeps for all accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId

from storage.addresses.documents import Logo
from storage.base.database import Databases, holding

_SHOWN = {"type": 1, "url": 1, "content": 1, "vmc.type": 1}
_READ_MS = 3000


class Bimi:
    """Repository of the logos. Mallard reads them only."""

    def __init__(self, databases: Databases) -> None:
        self._collection = holding(databases.main["bimi"], Logo)

    def of(self, messages: Iterable[Mapping[str, Any]]) -> dict[ObjectId, Logo]:
        """The logos that messages refer to, by their ids, in one query; those that could not be fetched are none."""
        wanted = {found for message in messages if (found := logo_of(message))}
        if not wanted:
            return {}
        there = {"_id": {"$in": list(wanted)}, "content": {"$type": "binData"}, "error": None}
        return {row["_id"]: row for row in self._collection.find(there, _SHOWN, max_time_ms=_READ_MS)}


def logo_of(message: Mapping[str, Any]) -> ObjectId | None:
    """The id of the logo of a message's sender."""
    found = (message.get("verificationResults") or {}).get("bimi")
    return found if isinstance(found, ObjectId) else None
