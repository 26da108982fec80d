"""Addresses of accounts."""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from handlers.answers import custom_data, target_values
from handlers.call import Call
from problems import InvalidInput, Problem
from security.normalise import normalise_address
from storage.database import Document

_LONGEST_AFFIX = 32
_WRONG_WILDCARD = 'Invalid wildcard address, use "*@domain" or "user@*"'


def create_user_address(call: Call, user: ObjectId, body: Document) -> Document:
    """Give an account one more address."""
    address = normalise_address(body["address"])
    _check(address, body)
    call.store.users.require(user)
    document = call.store.transactions.run(lambda session: _insert(call, user, address, body, session))
    call.store.addresses.remember_domain(address)
    return {"success": True, "id": document["_id"]}


def _insert(call: Call, user: ObjectId, address: str, body: Document, session: Any) -> Document:
    document = call.store.addresses.create(user, address, body, session=session)
    if "*" not in address:
        call.store.users.set_address(user, address, only_if_none=not body.get("main"), session=session)
    return document


def _check(address: str, body: Document) -> None:
    """Raises InvalidInput for what can not be an address of an account."""
    if "+" in address:
        raise InvalidInput({"address": "Address can not contain +"})
    if "*" not in address:
        return
    if not body.get("allowWildcard"):
        raise InvalidInput({"address": "Address can not contain *"})
    if not _is_wildcard(address):
        raise InvalidInput({"address": _WRONG_WILDCARD})
    if body.get("main"):
        raise InvalidInput({"main": "Main address can not contain *"})


def _is_wildcard(address: str) -> bool:
    """`*@domain`, `*suffix@domain`, `prefix*@domain` or `user@*`."""
    local, _, domain = address.rpartition("@")
    if address.count("*") != 1:
        return False
    if domain == "*":
        return bool(local)
    return local[:1] == "*" or local[-1:] == "*" if len(local) - 1 <= _LONGEST_AFFIX else False


def get_user_addresses(
    call: Call, user: ObjectId, meta_data: bool = False, internal_data: bool = False
) -> Document:
    """All addresses of an account."""
    main = call.store.users.get(user, {"address": 1}).get("address")
    wanted = {"metaData": meta_data, "internalData": internal_data}
    rows = [_row(address, main, wanted) for address in call.store.addresses.of_user(user)]
    return {"success": True, "results": rows}


def _row(address: Document, main: str | None, wanted: dict[str, bool]) -> Document:
    return {
        "id": address["_id"],
        "name": address.get("name") or "",
        "address": address["address"],
        "main": address["address"] == main,
        "tags": address.get("tags") or [],
        "created": address["created"],
        **{
            name: custom_data(address[name])
            for name, is_wanted in wanted.items()
            if is_wanted and address.get(name)
        },
    }


def resolve_address(call: Call, address: str, allow_wildcard: bool = False) -> Document:
    """The registration that takes mail for an address."""
    if "@" in address:
        found = call.store.addresses.resolve(address, wildcards=allow_wildcard)
        if not found:
            raise Problem("AddressNotFound")
    else:
        found = call.store.addresses.by_id(ObjectId(address))
    answer: Document = {
        "success": True,
        "id": found["_id"],
        "name": found.get("name") or "",
        "address": found["address"],
        "tags": found.get("tags") or [],
        "created": found["created"],
        **{name: custom_data(found[name]) for name in ("metaData", "internalData") if found.get(name)},
    }
    if found.get("user"):
        return {**answer, "user": found["user"]}
    return {**answer, **_forwarded(call, found)}


def _forwarded(call: Call, address: Document) -> Document:
    """What a forwarded address has beside."""
    allowed = address.get("forwards") or call.store.settings.get("const:max:forwards")
    count = call.store.counters.peek(f"wdf:{address['_id']}", allowed)
    return {
        "targets": target_values(address),
        "limits": {
            "forwards": {
                "allowed": allowed,
                "used": count.value,
                "ttl": count.seconds_left or False,
            }
        },
        "autoreply": {
            **dict.fromkeys(("name", "subject", "text", "html"), ""),
            **(address.get("autoreply") or {"status": False}),
        },
        "forwardedDisabled": bool(address.get("forwardedDisabled")),
    }
