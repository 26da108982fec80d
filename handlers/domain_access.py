"""Sender domains that accounts with a tag always or never trust."""

from __future__ import annotations

from bson import ObjectId

from handlers.call import Answer, Body, Call
from security.normalize import normalize_domain
from storage.addresses.domain_access import ALLOW, BLOCK


def create_allowed_domain(call: Call, tag: str, body: Body) -> Answer:
    """Trust a domain."""
    return _put(call, tag, body, ALLOW)


def create_blocked_domain(call: Call, tag: str, body: Body) -> Answer:
    """Distrust a domain."""
    return _put(call, tag, body, BLOCK)


def _put(call: Call, tag: str, body: Body, action: str) -> Answer:
    domain = normalize_domain(body["domain"])
    return {"success": True, "id": call.store.domain_access.put(tag, domain, action)}


def get_allowed_domain(call: Call, tag: str) -> Answer:
    """The domains that accounts with a tag trust."""
    return _list(call, tag, ALLOW)


def get_blocked_domain(call: Call, tag: str) -> Answer:
    """The domains that accounts with a tag distrust."""
    return _list(call, tag, BLOCK)


def _list(call: Call, tag: str, action: str) -> Answer:
    rows = call.store.domain_access.listed(tag, action)
    results = [{"id": row["_id"], "domain": row["domain"], "action": row["action"]} for row in rows]
    return {"success": True, "results": results}


def delete_domain_listing(call: Call, domain: ObjectId) -> Answer:
    """Take an entry off whichever list it is on."""
    call.store.domain_access.delete(domain)
    return {"success": True, "deleted": domain}
