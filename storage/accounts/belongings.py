"""What belongs to an account in collections that hold nothing but rows of accounts."""

from __future__ import annotations

from bson import ObjectId

from storage.base.database import Databases

# collection → role of its database. Not here: messages and archived ones, which give attachments back; files; hooks,
# which are told that the account is gone; the security log, the journal, notices and counters, which end by themselves;
# audits, which the law may ask for.
_ROLES = {
    "mailboxes": "main",
    "asps": "users",
    "filters": "main",
    "autoreplies": "main",
    "addressregister": "main",
    "threads": "main",
    "updates": "main",
}
KINDS = tuple(_ROLES)


class Belongings:
    """Removes what is left of deleted accounts."""

    def __init__(self, databases: Databases) -> None:
        self._collections = {name: getattr(databases, role)[name] for name, role in _ROLES.items()}

    def delete_some(self, kind: str, user: ObjectId, most: int) -> int:
        """Delete at most `most` rows of one of `KINDS`; how many there were."""
        collection = self._collections[kind]
        ids = [row["_id"] for row in collection.find({"user": user}, {"_id": 1}).limit(most)]
        return int(collection.delete_many({"_id": {"$in": ids}}).deleted_count) if ids else 0
