"""Every secret at rest that `security.secrets` protects: where it stands, and with which keys it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bson import ObjectId
from pymongo.collection import Collection

from security.secrets import KeyRing, KeyRings
from storage.base.database import Databases, Document

_READ_MS = 30_000
_STEP = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Fields of a collection that hold secrets of one kind."""

    kind: str
    collection: Collection[Document]
    fields: tuple[str, ...]
    ring: KeyRing = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret as it is stored."""

    place: Place
    id: ObjectId
    name: str
    stored: str = field(repr=False)


class Sealed:
    """Repository of the secrets of all kinds. A new kind is added here, and nowhere else."""

    def __init__(self, databases: Databases, keys: KeyRings) -> None:
        users, main = databases.users, databases.main
        seeds = ("seed", "pendingSeed")
        self.places = (
            Place("TOTP seeds", users["users"], seeds, keys.totp),
            Place("TOTP seeds of deleted accounts", users["deletedusers"], seeds, keys.totp),
            Place("DKIM keys", main["dkim"], ("privateKey",), keys.dkim),
            Place("TLS keys", main["certs"], ("privateKey",), keys.certs),
        )

    def steps(self, place: Place) -> Iterator[tuple[int, list[Secret]]]:
        """Documents read and secrets found, some hundred documents at a time, in the order of their ids.

        Each step is a query of its own, so that a step may take as long as it needs.
        """
        last: ObjectId | None = None
        while rows := self._read(place, last):
            last = rows[-1]["_id"]
            yield len(rows), list(_secrets(place, rows))

    def _read(self, place: Place, last: ObjectId | None) -> list[Document]:
        wanted = {"_id": {"$gt": last}} if last else {}
        rows = place.collection.find(
            wanted, dict.fromkeys(place.fields, 1), limit=_STEP, max_time_ms=_READ_MS
        )
        return list(rows.sort("_id", 1))

    def size(self, place: Place) -> int:
        """About how many documents there are to read."""
        return place.collection.estimated_document_count()

    def replace(self, secret: Secret, stored: str) -> bool:
        """Store a secret in another form; False if somebody has changed or removed it meanwhile, and it stays."""
        wanted = {"_id": secret.id, secret.name: secret.stored}
        return secret.place.collection.update_one(wanted, {"$set": {secret.name: stored}}).modified_count > 0


def _secrets(place: Place, rows: list[Document]) -> Iterator[Secret]:
    for row in rows:
        for name in place.fields:
            if isinstance(stored := row.get(name), str) and stored:
                yield Secret(place, row["_id"], name, stored)
