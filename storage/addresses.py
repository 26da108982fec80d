"""Addresses of accounts and forwarded addresses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from problems import InvalidInput, Problem
from security.normalise import domain_of, lookup_address, sorted_tags, view, wildcard_candidates
from storage.database import Clock, Databases, Document
from storage.heldnames import HeldNames

_READ_MS = 3000


class Addresses:
    """Repository of addresses, and of the domains that mail is taken for."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.users["addresses"]
        self._aliases = databases.users["domainaliases"]
        self._domains = databases.users["domaincache"]
        self._held = HeldNames(databases, clock)
        self._clock = clock

    def create(
        self, user: ObjectId, address: str, fields: Document, session: ClientSession | None = None
    ) -> Document:
        """Add a normalised address to an account. Raises Problem AddressExistsError, InvalidInput.

        An aliased domain has no addresses of its own: its mail is that of the domain it stands for.
        """
        if target := self._alias_target(domain_of(address)):
            raise InvalidInput({"address": f"The domain is an alias, use the address at {target[0]}"})
        document = {
            "user": user,
            "name": fields.get("name"),
            "address": address,
            "addrview": view(address),
            "created": self._clock(),
            **_custom(fields),
        }
        if self._held.has_address(document["addrview"], session):
            raise Problem("AddressExistsError")
        try:
            self._collection.insert_one(document, session=session)
        except DuplicateKeyError as error:
            raise Problem("AddressExistsError") from error
        return document

    def remember_domain(self, address: str) -> None:
        """Note the domain of an address as one that mail is taken for."""
        domain = domain_of(address)
        if "*" not in domain:
            self._domains.update_one({"domain": domain}, {"$setOnInsert": {"domain": domain}}, upsert=True)

    def of_user(self, user: ObjectId) -> list[Document]:
        """All addresses of an account, sorted."""
        return list(self._collection.find({"user": user}, max_time_ms=_READ_MS).sort("addrview", 1))

    def views_of_user(self, user: ObjectId) -> set[str]:
        """The addresses of an account in the form to compare with."""
        rows = self._collection.find({"user": user}, {"addrview": 1, "_id": 0}, max_time_ms=_READ_MS)
        return {row["addrview"] for row in rows}

    def by_id(self, address_id: ObjectId) -> Document:
        """An address by its id. Raises Problem AddressNotFound."""
        found = self._collection.find_one({"_id": address_id}, max_time_ms=_READ_MS)
        if not found:
            raise Problem("AddressNotFound")
        return found

    def resolve(self, address: str, *, wildcards: bool = False) -> Document | None:
        """The registration that takes mail for `address`: itself, of an aliased domain, or a wildcard.

        Wildcards go from the most specific to `*@domain`, the real domain before the aliased one, `user@*` last.
        """
        found = lookup_address(address)
        local, _, domain = found.rpartition("@")
        domains = [domain, *self._alias_target(domain)]
        wanted = [f"{local}@{name}" for name in domains]
        if wildcards:
            wanted += [candidate for name in domains for candidate in wildcard_candidates(local, name)]
            wanted.append(f"{local}@*")
        return self._first(wanted)

    def _alias_target(self, domain: str) -> list[str]:
        alias = self._aliases.find_one({"alias": domain}, {"domain": 1}, max_time_ms=_READ_MS)
        return [alias["domain"]] if alias else []

    def _first(self, views: Sequence[str]) -> Document | None:
        rows = {row["addrview"]: row for row in self._collection.find({"addrview": {"$in": list(views)}})}
        return next((rows[name] for name in views if name in rows), None)


def _custom(fields: Document) -> Document:
    """Tags and the caller's own data, as they are stored."""
    stored: dict[str, Any] = {
        name: json.dumps(fields[name], separators=(",", ":"), ensure_ascii=False)
        for name in ("metaData", "internalData")
        if name in fields
    }
    if "tags" in fields:
        stored["tags"], stored["tagsview"] = sorted_tags(fields["tags"])
    return stored
