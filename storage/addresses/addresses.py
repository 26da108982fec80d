"""Addresses of accounts and forwarded addresses.

What has `targets` and no `user` is a forwarded address.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from problems import AddressExists, AddressNotFound
from security.normalize import domain_of, lookup_address, search_text, sorted_tags, view, wildcard_candidates
from storage.addresses.documents import Address, Domain, DomainAlias
from storage.base.database import (
    Clock,
    Condition,
    Databases,
    Projection,
    Session,
    holding,
)
from storage.base.listing import common_conditions, literal, page_of
from storage.base.paging import Order, Page, Paging


class HeldNames:
    """Looks into the deleted accounts whose data are kept for a time that was named.

    One that was deleted for at once holds nothing: who deletes it so wants the name to be free.
    """

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = databases.users["deletedusers"]
        self._clock = clock

    def has_username(self, unameview: str, session: Session = None) -> bool:
        """Return whether a normalized user name is taken."""
        return self._has("unameview", [unameview], session)

    def has_address(self, addrviews: Sequence[str], session: Session = None) -> bool:
        """Return whether one of these normalized addresses is taken."""
        return self._has("deleteInfo.addresses.addrview", addrviews, session)

    def _has(self, name: str, values: Sequence[str], session: Session) -> bool:
        wanted = {name: {"$in": list(values)}, "deleteInfo.deleteAfter": {"$gt": self._clock()}}
        return self._collection.find_one(wanted, {"_id": 1}, session=session) is not None


_READ_MS = 3000
_FORWARDED: Projection = {"user": None, "targets": {"$exists": True}}
_ORDER = Order("addrview")
_LISTED = ("name", "address", "addrview", "user", "targets.value", "forwardedDisabled", "tags")
_JSON_FIELDS = ("metaData", "internalData")


class Addresses:
    """Repository of addresses, and of the domains that mail is taken for."""

    def __init__(self, databases: Databases, clock: Clock) -> None:
        self._collection = holding(databases.users["addresses"], Address)
        self._aliases = holding(databases.users["domainaliases"], DomainAlias)
        self._domains = holding(databases.users["domaincache"], Domain)
        self._held = HeldNames(databases, clock)
        self._clock = clock

    def create(
        self, user: ObjectId, address: str, fields: Mapping[str, Any], session: Session = None
    ) -> Address:
        """Add a normalized address to an account. Raises AddressExists."""
        own = {"tags", *_JSON_FIELDS} & fields.keys()
        return self._insert({"user": user}, address, fields, {name: fields[name] for name in own}, session)

    def create_forwarded(self, address: str, fields: Mapping[str, Any], session: Session = None) -> Address:
        """Add a normalized address that belongs to no account; `fields` as `update` takes them.

        Raises AddressExists.
        """
        rest = {name: value for name, value in fields.items() if name != "name"}
        return self._insert({}, address, fields, rest, session)

    def _insert(
        self,
        owner: Address,
        address: str,
        fields: Mapping[str, Any],
        rest: Mapping[str, Any],
        session: Session = None,
    ) -> Address:
        document: Address = {
            **owner,
            "_id": ObjectId(),
            "name": fields.get("name") or None,
            "address": address,
            "addrview": view(address),
            "created": self._clock(),
            **_stored(rest),
        }
        self._refuse_held(document, session)
        try:
            self._collection.insert_one(document, session=session)
        except DuplicateKeyError as error:
            raise AddressExists from error
        return document

    def update(self, address_id: ObjectId, fields: Mapping[str, Any], session: Session = None) -> bool:
        """Change an address; of `autoreply` only the given fields. Return whether it still exists.

        Raises AddressExists.
        """
        changes: dict[str, Any] = {**_stored(fields)}
        for name, value in changes.pop("autoreply", {}).items():
            changes[f"autoreply.{name}"] = value
        if not changes:
            return True
        self._refuse_held(changes, session)
        try:
            changed = self._collection.update_one({"_id": address_id}, {"$set": changes}, session=session)
        except DuplicateKeyError as error:
            raise AddressExists from error
        return changed.matched_count > 0

    def _refuse_held(self, fields: Mapping[str, Any], session: Session) -> None:
        if "addrview" in fields and self._held.has_address([fields["addrview"]], session):
            raise AddressExists

    def delete(self, address_id: ObjectId, session: Session = None) -> bool:
        """Delete an address. Return whether it existed."""
        return self._collection.delete_one({"_id": address_id}, session=session).deleted_count > 0

    def rows_of_user(self, user: ObjectId, session: Session = None) -> list[Address]:
        """The whole rows of an account's addresses."""
        return list(self._collection.find({"user": user}, session=session))

    def delete_of_user(self, user: ObjectId, session: Session = None) -> int:
        """Delete all addresses of an account, and return how many there were."""
        return self._collection.delete_many({"user": user}, session=session).deleted_count

    def taken_by_others(self, views: Sequence[str], user: ObjectId, session: Session = None) -> set[str]:
        """Those normalized addresses that another account has."""
        condition = {"addrview": {"$in": list(views)}, "user": {"$ne": user}}
        rows = self._collection.find(condition, {"addrview": 1, "_id": 0}, session=session)
        return {row["addrview"] for row in rows}

    def put_back(self, rows: Iterable[Address], session: Session = None) -> None:
        """Store deleted addresses again as they were. Raises DuplicateKeyError where one is taken."""
        for row in rows:
            self._collection.replace_one({"_id": row["_id"]}, row, upsert=True, session=session)

    def remember_domain(self, address: str) -> None:
        """Note the domain of an address as one that mail is taken for.

        Comes before the address itself: a domain without addresses does no harm, one that is not known loses mail.
        """
        domain = domain_of(address)
        if "*" not in domain:
            self._domains.update_one({"domain": domain}, {"$setOnInsert": {"domain": domain}}, upsert=True)

    def of_user(self, user: ObjectId, more: Iterable[str] = ()) -> list[Address]:
        """All addresses of an account, sorted, with `more` fields besides the usual ones."""
        rows = self._collection.find({"user": user}, listed(("created", *more)), max_time_ms=_READ_MS)
        return list(rows.sort("addrview", 1))

    def owned(self, user: ObjectId, address: str) -> Address | None:
        """An account's own address by any spelling of it, no alias and no wildcard; None where it has none such."""
        wanted = {"addrview": lookup_address(address), "user": user}
        return None if "*" in address else self._collection.find_one(wanted, max_time_ms=_READ_MS)

    def views_of_user(self, user: ObjectId) -> set[str]:
        """The addresses of an account in the form to compare with."""
        rows = self._collection.find({"user": user}, {"addrview": 1, "_id": 0}, max_time_ms=_READ_MS)
        return {row["addrview"] for row in rows}

    def by_id(self, address_id: ObjectId) -> Address:
        """An address by its id. Raises AddressNotFound."""
        return self._one({"_id": address_id})

    def of_account(self, user: ObjectId, address_id: ObjectId, session: Session = None) -> Address:
        """An address of this account. Raises AddressNotFound."""
        return self._one({"_id": address_id, "user": user}, session)

    def forwarded(self, address_id: ObjectId) -> Address:
        """A forwarded address. Raises AddressNotFound."""
        return self._one({"_id": address_id, **_FORWARDED})

    def delete_forwarded(self, address_id: ObjectId, session: Session = None) -> Address:
        """Delete a forwarded address; what it was. Raises AddressNotFound."""
        wanted = {"_id": address_id, **_FORWARDED}
        deleted = self._collection.find_one_and_delete(wanted, {"address": 1}, session=session)
        if not deleted:
            raise AddressNotFound
        return deleted

    def _one(self, condition: Condition, session: Session = None) -> Address:
        found = self._collection.find_one(condition, max_time_ms=_READ_MS, session=session)
        if not found:
            raise AddressNotFound
        return found

    def page(
        self, condition: Condition, paging: Paging, more: Iterable[str] = ()
    ) -> tuple[Page[Address], int]:
        """A page of addresses, sorted, with `more` fields besides the usual ones, and how many there are.

        `condition` comes from `listing_filter`.
        """
        return page_of(self._collection, condition, listed(more), paging, _ORDER)

    def resolve(self, address: str, *, wildcards: bool = False) -> Address | None:
        """The registration that takes mail for `address`: itself, of an aliased domain, or a wildcard.

        Wildcards go from the most specific to `*@domain`, the real domain before the aliased one, `user@*` last.
        """
        found = lookup_address(address)
        domain = domain_of(found)
        if not domain:
            return None
        wanted = registrations(found, self.alias_targets([domain]).get(domain), wildcards=wildcards)
        rows = self._collection.find({"addrview": {"$in": wanted}}, max_time_ms=_READ_MS)
        taken = {row["addrview"]: row for row in rows}
        return next((taken[name] for name in wanted if name in taken), None)

    def alias_targets(self, domains: Sequence[str]) -> dict[str, str]:
        """Which of these domains are aliases, and of which domain each is one."""
        rows = self._aliases.find({"alias": {"$in": list(domains)}}, max_time_ms=_READ_MS)
        return {row["alias"]: row["domain"] for row in rows}

    def known_domains(self, domains: Sequence[str]) -> set[str]:
        """The domains among these that mail is accepted for."""
        rows = self._domains.find({"domain": {"$in": list(domains)}}, max_time_ms=_READ_MS)
        return {row["domain"] for row in rows}

    def owners(self, views: Sequence[str], *, without: ObjectId | None = None) -> dict[str, ObjectId | None]:
        """The registered addresses among these, each with its account; one id can be excluded."""
        wanted: Condition = {
            "addrview": {"$in": list(views)},
            **({"_id": {"$ne": without}} if without else {}),
        }
        rows = self._collection.find(wanted, {"_id": 0, "addrview": 1, "user": 1}, max_time_ms=_READ_MS)
        return {row["addrview"]: row.get("user") for row in rows}


def registrations(address: str, alias_of: str | None, *, wildcards: bool) -> list[str]:
    """What can take mail for an address in look-up form, in the order of preference."""
    local, _, domain = address.rpartition("@")
    domains = [domain, *([alias_of] if alias_of else [])]
    wanted = [f"{local}@{name}" for name in domains]
    if wildcards:
        wanted += [candidate for name in domains for candidate in wildcard_candidates(local, name)]
        wanted.append(f"{local}@*")
    return wanted


def _stored(fields: Mapping[str, Any]) -> Address:
    """A request's fields as they stand on disk."""
    stored: dict[str, Any] = dict(fields)
    for name in _JSON_FIELDS:
        if name in stored:
            stored[name] = json.dumps(stored[name], separators=(",", ":"), ensure_ascii=False)
    if "tags" in stored:
        stored["tags"], stored["tagsview"] = sorted_tags(stored["tags"])
    if "name" in stored:
        stored["name"] = stored["name"] or None
    if "address" in stored:
        stored["addrview"] = view(stored["address"])
    return cast("Address", stored)


def listed(more: Iterable[str]) -> dict[str, int]:
    """The projection of a listing."""
    return dict.fromkeys((*_LISTED, *more), 1)


def listing_filter(fields: Mapping[str, Any], own_only: ObjectId | None) -> Condition:
    """The condition of a listing by `query`, `forward`, `tags` and `requiredTags`, of one account or all."""
    conditions: list[Condition] = [{"user": own_only}] if own_only else []
    if query := fields.get("query"):
        conditions.append(_containing(search_text(query)))
    conditions += common_conditions(fields)
    return {"$and": conditions} if conditions else {}


def _containing(text: str) -> Condition:
    """Addresses with this text in them.

    The form without dots, which is indexed, decides which documents are read to look at the address itself.
    """
    dotless = {view(text), text} if "@" not in text else {view(text)}
    indexed = "|".join(literal(form) for form in sorted(dotless))
    return {"addrview": {"$regex": indexed}, "address": {"$regex": literal(text)}}
