"""Names of deleted accounts that may come back: nobody else gets them until then."""

from __future__ import annotations

from collections.abc import Sequence

from pymongo.client_session import ClientSession

from storage.base.database import Clock, Databases


class HeldNames:
    """Looks into the deleted accounts whose data are kept for a time that was named.

    One that was deleted for at once holds nothing: who deletes it so wants the name to be free.
    """

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.users["deletedusers"]
        self._clock = clock

    def has_username(self, unameview: str, session: ClientSession | None = None) -> bool:
        """Whether a user name, in the form to compare with, is held."""
        return self._has("unameview", [unameview], session)

    def has_address(self, addrviews: Sequence[str], session: ClientSession | None = None) -> bool:
        """Whether one of some addresses, in the form to compare with, is held."""
        return self._has("deleteInfo.addresses.addrview", addrviews, session)

    def _has(self, name: str, values: Sequence[str], session: ClientSession | None) -> bool:
        wanted = {name: {"$in": list(values)}, "deleteInfo.deleteAfter": {"$gt": self._clock()}}
        return self._collection.find_one(wanted, {"_id": 1}, session=session) is not None
