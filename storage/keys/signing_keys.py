"""Keys that the service made for itself, so that all its processes use the same."""

from __future__ import annotations

from storage.base.database import Databases, holding
from storage.keys.documents import OwnKey


class SigningKeys:
    """Repository of own keys by their purpose."""

    def __init__(self, databases: Databases) -> None:
        self._collection = holding(databases.main["signingkeys"], OwnKey)

    def find(self, purpose: str) -> OwnKey | None:
        """`{key, certificate}` in PEM, None where none was made yet."""
        return self._collection.find_one({"_id": purpose})

    def put(self, purpose: str, key: bytes, certificate: bytes, instead_of: OwnKey | None) -> OwnKey:
        """Keep a new key in place of the one that was found; the first caller's stays if there are several."""
        seen = instead_of["certificate"] if instead_of else None
        fresh = {"key": key, "certificate": certificate}
        if instead_of is None:
            self._collection.update_one({"_id": purpose}, {"$setOnInsert": fresh}, upsert=True)
        else:
            self._collection.update_one({"_id": purpose, "certificate": seen}, {"$set": fresh})
        row = self.find(purpose)
        assert row is not None
        return row
