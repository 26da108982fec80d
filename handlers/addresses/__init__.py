"""Addresses of accounts, forwarded addresses, and who takes mail for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from handlers.addresses.answers import DATA, common, forwarding, listed, owned
from handlers.addresses.inputs import (
    changed_address,
    check_right,
    checked_targets,
    new_address,
    stored_autoreply,
)
from handlers.call import Answer, Body, Call
from mail.headers import decode_words
from problems import (
    AddressExists,
    AddressNotFound,
    InvalidInput,
    MainAddressProtected,
    UserNotFound,
    WildcardNotPermitted,
)
from security.normalize import normalize_domain
from storage.addresses.addresses import listing_filter
from storage.addresses.documents import Address
from storage.base.counters import counter_key
from storage.base.database import Session
from storage.base.paging import Paging

_OF_ACCOUNT = ("name", "tags", *DATA)
_OF_FORWARDED = (*_OF_ACCOUNT, "forwards", "forwardedDisabled")


def get_addresses(
    call: Call,
    paging: Paging,
    query: str | None = None,
    forward: str | None = None,
    tags: str | None = None,
    required_tags: str | None = None,
    meta_data: bool = False,
    internal_data: bool = False,
) -> Answer:
    """List addresses, sorted."""
    fields = {"query": query, "forward": forward, "tags": tags, "requiredTags": required_tags}
    data = _wanted(meta_data=meta_data, internal_data=internal_data)
    page, total = call.store.addresses.page(listing_filter(fields, call.own_only), paging, data)
    return page.answer([listed(row, data) for row in page.rows], total=total, query=query or "")


def _wanted(*, meta_data: bool, internal_data: bool) -> list[str]:
    return [name for name, is_wanted in zip(DATA, (meta_data, internal_data), strict=True) if is_wanted]


def create_user_address(call: Call, user: ObjectId, body: Body) -> Answer:
    """Give an account one more address."""
    address = new_address(body)
    check_right(call, address)
    call.store.users.require(user)
    call.store.addresses.remember_domain(address)
    document = call.store.transactions.run(lambda session: _insert(call, user, address, body, session))
    return {"success": True, "id": document["_id"]}


def _insert(call: Call, user: ObjectId, address: str, body: Body, session: Session) -> Address:
    """The account may be deleted at this very moment: nobody's address would keep its name taken for ever."""
    document = call.store.addresses.create(user, address, body, session=session)
    if not call.store.users.hold(user, session):
        if session is None:
            call.store.addresses.delete(document["_id"])
        raise UserNotFound
    if "*" not in address:
        call.store.users.set_address(user, address, only_if_none=not body.get("main"), session=session)
    _emit(call, "address.user.created", document, session)
    return document


def _emit(call: Call, kind: str, address: Address, session: Session) -> None:
    about = {"address": address["_id"], "value": address["address"]}
    call.store.events.emit(kind, user=address.get("user"), session=session, **about)


def get_user_addresses(
    call: Call, user: ObjectId, meta_data: bool = False, internal_data: bool = False
) -> Answer:
    """All addresses of an account."""
    main = call.store.users.get(user, {"address": 1}).get("address")
    data = _wanted(meta_data=meta_data, internal_data=internal_data)
    rows = [owned(address, main, data) for address in call.store.addresses.of_user(user, data)]
    return {"success": True, "results": rows}


def get_user_address(call: Call, user: ObjectId, address: ObjectId) -> Answer:
    """One address of an account."""
    main = call.store.users.get(user, {"address": 1}).get("address")
    return {"success": True, **owned(call.store.addresses.of_account(user, address), main)}


def update_user_address(call: Call, user: ObjectId, id: ObjectId, body: Body) -> Answer:
    """Change what is given of an address."""
    if body.get("main") is False:
        raise InvalidInput({"main": "Cannot unset main status"})
    call.store.users.require(user)
    if body.get("address"):
        before = call.store.addresses.of_account(user, id)["address"]
        address = changed_address(before, body["address"])
        if address != before:
            check_right(call, address)
            call.store.addresses.remember_domain(address)
    call.store.transactions.run(lambda session: _update(call, user, id, body, session))
    return {"success": True}


def _update(call: Call, user: ObjectId, address_id: ObjectId, body: Body, session: Session) -> None:
    """The account comes first, so that without transactions a repeated request carries on after a crash."""
    before = call.store.addresses.of_account(user, address_id, session)["address"]
    address = changed_address(before, body.get("address"))
    if "*" in address and body.get("main"):
        raise WildcardNotPermitted
    fields = {name: body[name] for name in _OF_ACCOUNT if name in body}
    if address != before:
        fields["address"] = address
    main = call.store.users.get(user, {"address": 1}, session).get("address")
    if body.get("main") or ("address" in fields and not _hold(call, user, before, session)):
        call.store.users.set_address(user, address, session=session)
    try:
        call.store.addresses.update(address_id, fields, session)
    except (AddressExists, AddressNotFound):
        if session is None:
            call.store.users.set_address(user, main or "")
        raise


def _hold(call: Call, user: ObjectId, address: str, session: Session) -> bool:
    return call.store.users.hold_unless_main(user, address, session)


def delete_user_address(call: Call, user: ObjectId, address: ObjectId) -> Answer:
    """Take an address from an account, unless it is the main one."""
    call.store.users.require(user)
    call.store.transactions.run(lambda session: _delete(call, user, address, session))
    return {"success": True}


def _delete(call: Call, user: ObjectId, address_id: ObjectId, session: Session) -> None:
    found = call.store.addresses.of_account(user, address_id, session)
    if not _hold(call, user, found["address"], session):
        raise MainAddressProtected
    if call.store.addresses.delete(address_id, session):
        _emit(call, "address.user.deleted", found, session)


def get_user_addressregister(call: Call, user: ObjectId, query: str, limit: int = 20) -> Answer:
    """Whom an account writes with."""
    call.store.users.require(user)
    rows = call.store.address_register.search(user, query, limit)
    return {"success": True, "results": [_entry(row) for row in rows]}


def _entry(row: Mapping[str, Any]) -> Answer:
    name = {"name": decode_words(row["name"])} if row.get("name") else {}
    return {"id": row["_id"], **name, "address": row["address"]}


def create_forwarded_address(call: Call, body: Body) -> Answer:
    """Make an address that belongs to no account and forwards."""
    address = new_address(body)
    check_right(call, address)
    fields = {name: body[name] for name in _OF_FORWARDED if name in body}
    fields.setdefault("forwards", 0)
    fields["targets"] = checked_targets(call, address, body.get("targets") or ())
    given = body.get("autoreply")
    fields["autoreply"] = {"status": given is not None, **stored_autoreply(given or {})}
    call.store.addresses.remember_domain(address)

    def steps(session: Session) -> Address:
        created = call.store.addresses.create_forwarded(address, fields, session)
        _emit(call, "address.forwarded.created", created, session)
        return created

    return {"success": True, "id": call.store.events.in_transaction(None, steps)["_id"]}


def get_forwarded_address(call: Call, address: ObjectId) -> Answer:
    """One forwarded address."""
    found = call.store.addresses.forwarded(address)
    return {"success": True, **common(found), **forwarding(call, found)}


def update_forwarded_address(call: Call, id: ObjectId, body: Body) -> Answer:
    """Change what is given of a forwarded address."""
    before = call.store.addresses.forwarded(id)
    fields = {name: body[name] for name in _OF_FORWARDED if name in body}
    address = changed_address(before["address"], body.get("address"))
    if "targets" in body:
        fields["targets"] = checked_targets(call, address, body["targets"], id)
    if address != before["address"]:
        check_right(call, address)
        if "targets" not in body:
            _check_move(call, before, address)
        fields["address"] = address
        call.store.addresses.remember_domain(address)
    if "autoreply" in body:
        fields["autoreply"] = stored_autoreply(body["autoreply"])
    if not call.store.addresses.update(id, fields):
        raise AddressNotFound
    if "forwards" in fields and fields["forwards"] != before.get("forwards"):
        call.store.counters.reset([counter_key("forwards", before["_id"])])
    return {"success": True}


def _check_move(call: Call, before: Address, address: str) -> None:
    """A new name must not be among the targets that the address has."""
    targets = [target["value"] for target in before["targets"]]
    try:
        checked_targets(call, address, targets, before["_id"])
    except InvalidInput as error:
        raise InvalidInput({"address": error.text}) from error


def delete_forwarded_address(call: Call, address: ObjectId) -> Answer:
    """Delete a forwarded address and what it counts."""

    def steps(session: Session) -> None:
        deleted = call.store.addresses.delete_forwarded(address, session)
        _emit(call, "address.forwarded.deleted", deleted, session)

    call.store.events.in_transaction(None, steps)
    call.store.counters.reset([counter_key("forwards", address)])
    return {"success": True}


def resolve_address(call: Call, address: str, allow_wildcard: bool = False) -> Answer:
    """The registration that takes mail for an address."""
    if "@" in address:
        found = call.store.addresses.resolve(address, wildcards=allow_wildcard)
        if not found:
            raise AddressNotFound
    else:
        found = call.store.addresses.by_id(ObjectId(address))
    answer: Answer = {"success": True, **common(found)}
    return {**answer, "user": found["user"]} if found.get("user") else {**answer, **forwarding(call, found)}


def rename_domain(call: Call, body: Body) -> Answer:
    """Rename a domain wherever it stands."""
    old, new = normalize_domain(body["oldDomain"]), normalize_domain(body["newDomain"])
    if old == new:
        raise InvalidInput({"newDomain": '"newDomain" must be another domain than "oldDomain"'})
    changed = call.store.domain_rename.run(old, new)
    return {
        "success": True,
        "modifiedAddresses": changed.addresses,
        "modifiedUsers": changed.users,
        "modifiedDkim": changed.dkim,
        "modifiedAliases": changed.aliases,
    }
