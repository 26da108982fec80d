"""Domains that stand for another one."""

from __future__ import annotations

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from problems import AliasChain, AliasExists, AliasNotFound
from storage.addresses.documents import Domain, DomainAlias
from storage.base.database import (
    Clock,
    Condition,
    Databases,
    Session,
    Transactions,
    holding,
)
from storage.base.listing import Named, literal
from storage.base.paging import Page, Paging
from storage.events.events import Events

_READ_MS = 3000
_LISTED = {"alias": 1, "domain": 1}
_SHOWN = {**_LISTED, "created": 1}


class DomainAliases(Named[DomainAlias]):
    """Repository of aliases. An alias never leads to another one, so that one look-up shows where mail goes."""

    def __init__(
        self, databases: Databases, clock: Clock, transactions: Transactions, events: Events
    ) -> None:
        super().__init__(
            holding(databases.users["domainaliases"], DomainAlias), "alias", AliasNotFound, _SHOWN
        )
        self._domains = holding(databases.users["domaincache"], Domain)
        self._clock = clock
        self._transactions = transactions
        self._events = events

    def create(self, alias: str, domain: str) -> ObjectId:
        """Make a normalized domain stand for another. Raises AliasExists or AliasChain."""
        alias_id = ObjectId()
        document: DomainAlias = {"_id": alias_id, "alias": alias, "domain": domain, "created": self._clock()}
        self._transactions.run(lambda session: self._insert(document, session))
        return alias_id

    def _insert(self, document: DomainAlias, session: Session) -> None:
        self._refuse(document, session)
        self._claim(document, session)
        try:
            self._collection.insert_one(document, session=session)
        except DuplicateKeyError as error:
            raise AliasExists from error
        if session is None:
            self._withdraw_from_chain(document)
        self._emit("domainalias.created", document, session)

    def _emit(self, kind: str, alias: DomainAlias, session: Session) -> None:
        self._events.emit(
            kind, session=session, domainalias=alias["_id"], alias=alias["alias"], domain=alias["domain"]
        )

    def _refuse(self, document: DomainAlias, session: Session) -> None:
        """Raises AliasExists, or AliasChain where the domain is an alias or the alias has some itself."""
        joints = [{"alias": {"$in": [document["alias"], document["domain"]]}}, {"domain": document["alias"]}]
        wanted = {"_id": {"$ne": document["_id"]}, "$or": joints}
        found = self._collection.find_one(wanted, {"alias": 1}, session=session, max_time_ms=_READ_MS)
        if found:
            raise AliasExists if found["alias"] == document["alias"] else AliasChain

    def _claim(self, document: DomainAlias, session: Session) -> None:
        """Note both domains as ones that mail is taken for.

        Counting in them makes transactions conflict that touch one domain: two halves of a chain, made at one
        moment, do not see each other.
        """
        for name in sorted({document["alias"], document["domain"]}):
            change = {"$setOnInsert": {"domain": name}, "$inc": {"mallard.aliasChanges": 1}}
            self._domains.update_one({"domain": name}, change, upsert=True, session=session)

    def _withdraw_from_chain(self, document: DomainAlias) -> None:
        """Without transactions the other half may have come in between; whoever sees both takes its own back."""
        try:
            self._refuse(document, None)
        except (AliasExists, AliasChain):
            self._collection.delete_one({"_id": document["_id"]})
            raise

    def page(self, text: str, paging: Paging) -> tuple[Page[DomainAlias], int]:
        """A page by alias of those with `text` in alias or domain, and how many there are."""
        return self._page(_containing(text), _LISTED, paging)

    def delete(self, alias: ObjectId) -> None:
        """Remove an alias. Raises AliasNotFound."""
        self._events.in_transaction(None, lambda session: self._delete(alias, session))

    def _delete(self, alias: ObjectId, session: Session) -> None:
        deleted = self._collection.find_one_and_delete({"_id": alias}, session=session)
        if not deleted:
            raise AliasNotFound
        self._emit("domainalias.deleted", deleted, session)

    def rename(self, old: str, new: str) -> int:
        """Make aliases of a domain lead to its new name, and return how many changed.

        One that has this name itself has become the domain and ends.
        """
        ended = self._collection.delete_one({"alias": new, "domain": {"$in": [old, new]}}).deleted_count
        renamed = self._collection.update_many({"domain": old}, {"$set": {"domain": new}}).modified_count
        return ended + renamed


def _containing(text: str) -> Condition:
    if not text:
        return {}
    pattern = {"$regex": literal(text)}
    return {"$or": [{"alias": pattern}, {"domain": pattern}]}
