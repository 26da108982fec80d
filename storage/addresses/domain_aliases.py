"""Domains that stand for another one."""

from __future__ import annotations

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from problems import AliasChain, AliasExists, AliasNotFound
from storage.base.database import Clock, Databases, Document, Transactions
from storage.base.listing import Named, literal
from storage.base.paging import Page, Paging
from storage.events.events import Events

_READ_MS = 3000
_LISTED = {"alias": 1, "domain": 1}
_SHOWN = {**_LISTED, "created": 1}


class DomainAliases(Named):
    """Repository of aliases. None leads to another one, so that one look tells where mail goes."""

    def __init__(
        self, databases: Databases, clock: Clock, transactions: Transactions, events: Events
    ) -> None:
        super().__init__(databases.users["domainaliases"], "alias", AliasNotFound, _SHOWN)
        self._domains = databases.users["domaincache"]
        self._clock = clock
        self._transactions = transactions
        self._events = events

    def create(self, alias: str, domain: str) -> ObjectId:
        """Make a normalized domain stand for another. Raises AliasExists or AliasChain."""
        alias_id = ObjectId()
        document = {"_id": alias_id, "alias": alias, "domain": domain, "created": self._clock()}
        self._transactions.run(lambda session: self._insert(document, session))
        return alias_id

    def _insert(self, document: Document, session: ClientSession | None) -> None:
        self._refuse(document, session)
        self._claim(document, session)
        try:
            self._collection.insert_one(document, session=session)
        except DuplicateKeyError as error:
            raise AliasExists from error
        if session is None:
            self._withdraw_from_chain(document)
        self._tell("domainalias.created", document, session)

    def _tell(self, kind: str, alias: Document, session: ClientSession | None) -> None:
        about = {"domainalias": alias["_id"], "alias": alias["alias"], "domain": alias["domain"]}
        self._events.emit(kind, session=session, **about)

    def _refuse(self, document: Document, session: ClientSession | None) -> None:
        """Raises AliasExists, or AliasChain where the domain is an alias or the alias has some itself."""
        joints = [{"alias": {"$in": [document["alias"], document["domain"]]}}, {"domain": document["alias"]}]
        wanted = {"_id": {"$ne": document["_id"]}, "$or": joints}
        found = self._collection.find_one(wanted, {"alias": 1}, session=session, max_time_ms=_READ_MS)
        if found:
            raise AliasExists if found["alias"] == document["alias"] else AliasChain

    def _claim(self, document: Document, session: ClientSession | None) -> None:
        """Note both domains as ones that mail is taken for.

        Counting in them makes transactions conflict that touch one domain: two halves of a chain, made at one
        moment, do not see each other.
        """
        for name in sorted({document["alias"], document["domain"]}):
            change = {"$setOnInsert": {"domain": name}, "$inc": {"mallard.aliasChanges": 1}}
            self._domains.update_one({"domain": name}, change, upsert=True, session=session)

    def _withdraw_from_chain(self, document: Document) -> None:
        """Without transactions the other half may have come in between; whoever sees both takes its own back."""
        try:
            self._refuse(document, None)
        except (AliasExists, AliasChain):
            self._collection.delete_one({"_id": document["_id"]})
            raise

    def page(self, text: str, paging: Paging) -> tuple[Page[Document], int]:
        """A page by alias of those with `text` in alias or domain, and how many there are."""
        return self._page(_containing(text), _LISTED, paging)

    def delete(self, alias: ObjectId) -> None:
        """Remove an alias. Raises AliasNotFound."""
        self._events.in_transaction(None, lambda session: self._delete(alias, session))

    def _delete(self, alias: ObjectId, session: ClientSession | None) -> None:
        deleted = self._collection.find_one_and_delete({"_id": alias}, session=session)
        if not deleted:
            raise AliasNotFound
        self._tell("domainalias.deleted", deleted, session)

    def rename(self, old: str, new: str) -> int:
        """Make aliases of a domain lead to its new name, and return how many changed.

        One that has this name itself has become the domain and ends.
        """
        ended = self._collection.delete_one({"alias": new, "domain": {"$in": [old, new]}}).deleted_count
        renamed = self._collection.update_many({"domain": old}, {"$set": {"domain": new}}).modified_count
        return ended + renamed


def _containing(text: str) -> Document:
    if not text:
        return {}
    pattern = {"$regex": literal(text)}
    return {"$or": [{"alias": pattern}, {"domain": pattern}]}
