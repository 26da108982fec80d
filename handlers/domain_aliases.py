"""Domains that stand for another one."""

from __future__ import annotations

from bson import ObjectId

from handlers.call import Answer, Body, Call
from mail.domains import domain_text
from problems import InvalidInput
from security.normalize import normalize_domain
from storage.base.paging import Paging


def get_domain_aliases(call: Call, paging: Paging, query: str | None = None) -> Answer:
    """List aliases by name."""
    page, total = call.store.domain_aliases.page(domain_text(query or ""), paging)
    rows = [{"id": row["_id"], "alias": row["alias"], "domain": row["domain"]} for row in page.rows]
    return page.answer(rows, total=total, **({"query": query} if query else {}))


def create_domain_alias(call: Call, body: Body) -> Answer:
    """Make one domain stand for another, which need not be known yet."""
    alias, domain = normalize_domain(body["alias"]), normalize_domain(body["domain"])
    if alias == domain:
        raise InvalidInput({"alias": "A domain cannot be an alias of itself"})
    return {"success": True, "id": call.store.domain_aliases.create(alias, domain)}


def resolve_domain_alias(call: Call, alias: str) -> Answer:
    """The id of the alias with this name."""
    return {"success": True, "id": call.store.domain_aliases.id_of(normalize_domain(alias))}


def get_domain_alias(call: Call, alias: ObjectId) -> Answer:
    """One alias."""
    found = call.store.domain_aliases.get(alias)
    return {
        "success": True,
        "id": found["_id"],
        "alias": found["alias"],
        "domain": found["domain"],
        "created": found["created"],
    }


def delete_domain_alias(call: Call, alias: ObjectId) -> Answer:
    """Mail to the alias is refused from now on, except for its own addresses."""
    call.store.domain_aliases.delete(alias)
    return {"success": True}
