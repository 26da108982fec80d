"""What stands in the database: remembered, compared, and brought back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

Document = dict[str, Any]

COUNTED = frozenset(
    {
        "archived", "asps", "attachments.chunks", "attachments.files", "deletedusers", "journal", "mail.chunks",
        "mail.files", "mailboxes", "messages", "storage.chunks", "storage.files", "users", "zone-queue",
    }
)  # fmt: skip
"""Their documents are long, and compared whole in the tests of `storage` and of WildDuck's documents."""


@dataclass(frozen=True, slots=True)
class Kept:
    """All documents at one moment by collection and `_id`, and the hash of each collection."""

    hashes: Mapping[str, str]
    documents: Mapping[str, Mapping[Any, Document]]


class Disk:
    """One database, seen from beside the server."""

    def __init__(self, mongo: MongoClient[Document], name: str) -> None:
        self._database = mongo.get_database(name, write_concern=WriteConcern(w=1, j=False))

    def hashes(self) -> dict[str, str]:
        """A hash of each collection: two that are equal hold the same documents."""
        return dict(self._database.command("dbHash")["collections"])

    def keep(self) -> Kept:
        """Remember all that there is."""
        hashes = self.hashes()
        return Kept(hashes, {name: self._documents(name) for name in hashes})

    def restore(self, kept: Kept) -> None:
        """Bring back what was there."""
        for name in self.changed_since(kept):
            self._database[name].delete_many({})
            if documents := kept.documents.get(name):
                self._database[name].insert_many(documents.values())

    def changed_since(self, kept: Kept) -> list[str]:
        """The names of collections that are not as they were."""
        return sorted(name for name, value in self.hashes().items() if kept.hashes.get(name) != value)

    def written_since(self, kept: Kept) -> dict[str, Any]:
        """By collection how many documents came and went, and what fields of those that stayed are now."""
        return {name: self._written(name, kept.documents[name]) for name in self.changed_since(kept)}

    def _written(self, name: str, before: Mapping[Any, Document]) -> Document:
        after = self._documents(name)
        stayed = [(before[key], after[key]) for key in after if key in before]
        facts = {
            "added": self._shown(name, [after[key] for key in after if key not in before]),
            "removed": len(before.keys() - after.keys()),
            "changed": [changes for old, new in stayed if (changes := differing(old, new))],
        }
        return {fact: value for fact, value in facts.items() if value}

    def _shown(self, name: str, documents: list[Document]) -> list[Document] | int:
        return len(documents) if name in COUNTED else documents

    def _documents(self, name: str) -> dict[Any, Document]:
        return {_key(document["_id"]): document for document in self._database[name].find()}


def _key(value: Any) -> Any:
    return str(value) if isinstance(value, dict) else value


def differing(before: Document, after: Document) -> Document:
    """The fields that have another value, or one at all, with what they are now; None where they are gone."""
    names = [name for name in before | after if before.get(name, ...) != after.get(name, ...)]
    return {name: after.get(name) for name in names}
