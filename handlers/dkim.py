"""DKIM keys of domains. A private half goes in and never out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import structlog
from bson import ObjectId

from handlers.call import Answer, Body, Call
from mail.domains import ascii_domain, domain_text
from problems import InvalidInput
from security.dkim_keys import RSA_BITS, KeyPair, dns_strings, dns_value, generate, read
from security.normalize import normalize_domain
from security.pem import UnusableKey
from storage.base.database import Session
from storage.base.paging import Paging
from storage.keys.documents import DkimKey

_LISTED = ("domain", "selector", "fingerprint", "created")
_generating = threading.Lock()
"""One key is made at a time: a caller who asks for many must not keep all threads from hashing passwords."""

log = structlog.get_logger()


def get_dkim_keys(call: Call, paging: Paging, query: str | None = None) -> Answer:
    """List keys by domain."""
    page, total = call.store.dkim.page(domain_text(query or ""), paging)
    return page.answer(map(_listed, page.rows), total=total, **({"query": query} if query else {}))


def resolve_dkim(call: Call, domain: str) -> Answer:
    """The id of the key of this domain itself, not of the one that signs for it in its place."""
    return {"success": True, "id": call.store.dkim.id_of(normalize_domain(domain))}


def update_dkim_key(call: Call, body: Body) -> Answer:
    """Set the key of a domain, a given or a new one."""
    domain, selector, description = (
        normalize_domain(body["domain"]),
        body["selector"],
        body.get("description"),
    )
    pair = _pair(call, body)
    if pair.bits and pair.bits < RSA_BITS:
        log.warning("a short DKIM key, which some verifiers do not take", domain=domain, bits=pair.bits)
    private = call.offload(call.store.dkim.keys.encrypt, pair.private)

    def steps(session: Session) -> ObjectId:
        key, is_first = call.store.dkim.put(domain, selector, pair, private, description or "", session)
        row: DkimKey = {"_id": key, "domain": domain, "selector": selector, "fingerprint": pair.fingerprint}
        _emit(call, "dkim.created" if is_first else "dkim.updated", row, session)
        return key

    key = call.store.events.in_transaction(None, steps)
    return {
        "success": True,
        "id": key,
        "domain": domain,
        "selector": selector,
        "description": description or "",
        "fingerprint": pair.fingerprint,
        "publicKey": pair.public,
        "dnsTxt": _record(domain, selector, pair.public),
    }


def _emit(call: Call, kind: str, row: DkimKey, session: Session) -> None:
    call.store.events.emit(
        kind,
        session=session,
        dkim=row["_id"],
        domain=row["domain"],
        selector=row["selector"],
        fingerprint=row.get("fingerprint") or "",
    )


def _pair(call: Call, body: Body) -> KeyPair:
    """Raises InvalidInput."""
    given = (body.get("privateKey") or "").strip()
    if given and "keyType" in body:
        raise InvalidInput({"keyType": '"keyType" is for a key that is to be made; "privateKey" has a type'})
    if not given:
        with _generating:
            return call.offload(generate, body.get("keyType") or "rsa")
    try:
        return call.offload(read, given)
    except UnusableKey as error:
        raise InvalidInput({"privateKey": f'"privateKey" {error}'}) from error


def get_dkim_key(call: Call, dkim: ObjectId) -> Answer:
    """One key, with the DNS record to publish."""
    row = call.store.dkim.get(dkim)
    record = _record(row["domain"], row["selector"], row["publicKey"])
    return {"success": True, **_listed(row), "publicKey": row["publicKey"], "dnsTxt": record}


def delete_dkim_key(call: Call, dkim: ObjectId) -> Answer:
    """Mail of the domain goes out with the key of `*` from now on, or unsigned."""

    def steps(session: Session) -> None:
        _emit(call, "dkim.deleted", call.store.dkim.delete(dkim, session), session)

    call.store.events.in_transaction(None, steps)
    return {"success": True}


def _listed(row: Mapping[str, Any]) -> Answer:
    return {
        "id": row["_id"],
        **{name: row[name] for name in _LISTED},
        "description": row.get("description") or "",
    }


def _record(domain: str, selector: str, public: str) -> Answer:
    """The DNS record to publish."""
    value = dns_value(public)
    name = f"{selector}._domainkey.{ascii_domain(domain)}"
    return {"name": name, "value": value, "strings": dns_strings(value)}
