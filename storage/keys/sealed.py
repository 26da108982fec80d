"""Every secret at rest that `security.secrets` protects: where it stands, and with which keys it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from security.secrets import KeyRing

_READ_MS = 30_000
_STEP = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Fields of a collection that hold secrets of one kind."""

    kind: str
    collection: Collection[Any]
    fields: tuple[str, ...]
    ring: KeyRing = field(repr=False)

    def replace(self, secret: Secret, stored: str) -> bool:
        """Store a secret in another form; False if somebody has changed or removed it meanwhile, and it stays."""
        condition = {"_id": secret.id, secret.name: secret.stored}
        return self.collection.update_one(condition, {"$set": {secret.name: stored}}).modified_count > 0


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret as it is stored."""

    place: Place
    id: ObjectId
    name: str
    stored: str = field(repr=False)


class Sealed:
    """The secrets of all kinds, each in a place that its repository names."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = tuple(places)

    def steps(self, place: Place) -> Iterator[tuple[int, list[Secret]]]:
        """Documents read and secrets found, some hundred documents at a time, in the order of their ids.

        Each step is a query of its own, so that a step may take as long as it needs.
        """
        last: ObjectId | None = None
        while rows := self._read(place, last):
            last = rows[-1]["_id"]
            yield len(rows), list(_secrets(place, rows))

    def _read(self, place: Place, last: ObjectId | None) -> list[Mapping[str, Any]]:
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
        return secret.place.replace(secret, stored)


def _secrets(place: Place, rows: list[Mapping[str, Any]]) -> Iterator[Secret]:
    for row in rows:
        for name in place.fields:
            if isinstance(stored := row.get(name), str) and stored:
                yield Secret(place, row["_id"], name, stored)
