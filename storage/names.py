"""Names on disk that are not in their canonical form, or that two rows have in that form. It reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bson import ObjectId
from pymongo.collection import Collection

from security.normalize import (
    domain_of,
    is_plain,
    normalize_address,
    normalize_domain,
    normalize_host,
    username_view,
    view,
)
from storage.base.database import Databases, Document

_BATCH = 500


@dataclass(frozen=True, slots=True)
class NameFinding:
    """A row whose name is not as it is looked up. `canonical` is empty for what is no name; `other` has it already."""

    kind: str
    id: ObjectId
    name: str
    canonical: str
    other: ObjectId | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where names of a kind stand: as they are shown, as they are compared, and what makes one of the other."""

    kind: str
    collection: Collection[Document]
    shown: str
    compared: str
    canonical: Callable[[str], str]


class NameCheck:
    """Goes over all names, a batch of rows at a time."""

    def __init__(self, databases: Databases) -> None:
        users, main = databases.users, databases.main
        self._places = (
            _Place("address", users["addresses"], "address", "addrview", _address),
            _Place("user name", users["users"], "username", "unameview", username_view),
            _Place("domain alias", users["domainaliases"], "alias", "alias", normalize_domain),
            _Place("domain of an alias", users["domainaliases"], "domain", "domain", normalize_domain),
            _Place("known domain", users["domaincache"], "domain", "domain", normalize_domain),
            _Place("DKIM key", main["dkim"], "domain", "domain", normalize_domain),
            _Place("certificate", main["certs"], "servername", "servername", normalize_host),
            _Place("listed domain", main["domainaccess"], "domain", "domain", normalize_domain),
        )

    def findings(self) -> Iterator[NameFinding]:
        """What is not as it is looked up, in no particular order."""
        for place in self._places:
            rows = place.collection.find({}, {place.shown: 1, place.compared: 1}, batch_size=_BATCH)
            for row in rows:
                name = str(row.get(place.shown) or "")
                canonical = place.canonical(name)
                if not canonical or canonical != row.get(place.compared):
                    yield NameFinding(
                        place.kind, row["_id"], name, canonical, _other(place, row["_id"], canonical)
                    )


def _other(place: _Place, own: ObjectId, canonical: str) -> ObjectId | None:
    if not canonical or place.kind in ("domain of an alias", "listed domain"):  # which many rows may have
        return None
    found = place.collection.find_one({place.compared: canonical, "_id": {"$ne": own}}, {"_id": 1})
    return found["_id"] if found else None


def _address(address: str) -> str:
    normal = normalize_address(address)
    return view(normal) if domain_of(normal) and is_plain(normal) else ""
