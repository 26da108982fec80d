"""DKIM keys, one a domain; the key of `*` signs for domains that have none."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import structlog
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from mail.dkim import PrivateKey, SigningKey, parse_key
from mail.domains import ascii_domain
from problems import DkimNotFound
from security.dkim_keys import KeyPair
from security.normalize import normalize_domain
from security.secrets import KeyRing
from storage.base.database import Clock, Condition, Databases, Session, holding
from storage.base.listing import Named, literal
from storage.base.paging import Page, Paging
from storage.keys.documents import DkimKey
from storage.keys.sealed import Place

log = structlog.get_logger()

ANY_DOMAIN = "*"
_READ_MS = 3000
_PARSED_KEYS = 1024
_LISTED = dict.fromkeys(("domain", "selector", "description", "fingerprint", "created"), 1)
_SHOWN = {**_LISTED, "publicKey": 1}


class Dkim(Named[DkimKey]):
    """Repository of DKIM keys, by domain. Only what signs reads the private half."""

    def __init__(self, databases: Databases, clock: Clock, keys: KeyRing) -> None:
        self.keys = keys
        super().__init__(holding(databases.main["dkim"], DkimKey), "domain", DkimNotFound, _SHOWN)
        self._clock = clock
        self._parsed = lru_cache(_PARSED_KEYS)(self._parse)

    def signing_key(self, domain: str) -> SigningKey | None:
        """The key that signs for a sender's domain: its own, else the key of `*`; None if neither exists.

        A key that is used for the first time takes some tenths of a second. Raises SecretUnreadable, or ValueError
        for a key that another program stored and that cannot sign.
        """
        domain = normalize_domain(domain)
        wanted = {"domain": {"$in": [domain, ANY_DOMAIN]}}
        fields = {"domain": 1, "selector": 1, "privateKey": 1}
        found = {row["domain"]: row for row in self._collection.find(wanted, fields, max_time_ms=_READ_MS)}
        row = found.get(domain) or found.get(ANY_DOMAIN)
        if row is None:
            return None
        return SigningKey(ascii_domain(domain), row["selector"], self._parsed(row["privateKey"]))

    def has_key(self, domain: str) -> bool:
        """Return whether a normalized domain has a key of its own."""
        return self._collection.find_one({"domain": domain}, {"_id": 1}, max_time_ms=_READ_MS) is not None

    def _parse(self, stored: str) -> PrivateKey:
        return parse_key(self.keys.decrypt(stored))

    def put(
        self,
        domain: str,
        selector: str,
        pair: KeyPair,
        private: str,
        description: str,
        session: Session = None,
    ) -> tuple[ObjectId, bool]:
        """Set the key of a normalized domain, `private` being its half at rest; its id, and whether it is the first."""
        fields: DkimKey = {
            "selector": selector,
            "privateKey": private,
            "publicKey": pair.public,
            "publicKeyDer": pair.public_value,
            "fingerprint": pair.fingerprint,
            "latest": True,
            "updated": self._clock(),
            **({"description": description} if description else {}),
        }
        while True:
            try:
                return self._replace(domain, fields, session)
            except DuplicateKeyError:  # another caller was the first
                if session:
                    raise

    def _replace(self, domain: str, fields: DkimKey, session: Session) -> tuple[ObjectId, bool]:
        fresh = ObjectId()
        change: dict[str, Any] = {
            "$set": fields,
            "$setOnInsert": {"_id": fresh, "created": fields["updated"]},
        }
        if "description" not in fields:
            change["$unset"] = {"description": ""}
        before = self._collection.find_one_and_update(
            {"domain": domain},
            change,
            {"_id": 1},
            upsert=True,
            return_document=ReturnDocument.BEFORE,
            session=session,
        )
        return (before["_id"], False) if before else (fresh, True)

    def rename(self, old: str, new: str) -> int:
        """Give a domain's key to its new name, and return how many changed.

        A key that the new domain has already is in use there and stays; so does the old one.
        """
        try:
            return self._collection.update_one({"domain": old}, {"$set": {"domain": new}}).modified_count
        except DuplicateKeyError:
            log.warning("the new domain has a DKIM key of its own", previous=old, current=new)
            return 0

    def private_keys(self) -> Place:
        """Where the private halves stand, for the rotation of the keys that encrypt them."""
        return Place("DKIM keys", self._collection, ("privateKey",), self.keys)

    def page(self, text: str, paging: Paging) -> tuple[Page[DkimKey], int]:
        """A page by domain of the keys with `text` in their domain, and how many there are."""
        wanted: Condition = {"domain": {"$regex": literal(text)}} if text else {}
        return self._page(wanted, _LISTED, paging)

    def delete(self, key: ObjectId, session: Session = None) -> DkimKey:
        """Remove a key; what it was. Raises DkimNotFound."""
        found = self._collection.find_one_and_delete({"_id": key}, _LISTED, session=session)
        if not found:
            raise DkimNotFound
        return found
