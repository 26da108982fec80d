"""Addresses as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable

from handlers.answers import target_values
from handlers.call import Answer, Call
from mail.custom_data import named_data
from storage.addresses.documents import Address, AddressAutoreply
from storage.base.counters import counter_key

DATA = ("metaData", "internalData")
_AUTOREPLY: Answer = {"status": False, "name": "", "subject": "", "text": "", "html": ""}


def common(address: Address, data: Iterable[str] = DATA) -> Answer:
    """What all addresses show; `data` are the fields of the caller's own, shown where they are set."""
    return {
        "id": address["_id"],
        "name": address.get("name") or "",
        "address": address["address"],
        "tags": address.get("tags") or [],
        "created": address["created"],
        **named_data(address, data),
    }


def owned(address: Address, main: str | None, data: Iterable[str] = DATA) -> Answer:
    """An address as its account sees it."""
    return {**common(address, data), "main": address["address"] == main}


def listed(address: Address, data: Iterable[str]) -> Answer:
    """A row of getAddresses. Older clients know the targets by the name `target`."""
    forwarded = not address.get("user")
    row: Answer = {
        "id": address["_id"],
        "name": address.get("name") or "",
        "address": address["address"],
        "forwarded": forwarded,
        "forwardedDisabled": forwarded and bool(address.get("forwardedDisabled")),
        "tags": address.get("tags") or [],
        **named_data(address, data),
    }
    if not forwarded:
        return {**row, "user": address["user"]}
    targets = target_values(address)
    return {**row, "targets": targets, "target": targets}


def forwarding(call: Call, address: Address) -> Answer:
    """What a forwarded address shows in addition."""
    allowed = address.get("forwards") or call.store.settings.get("const:max:forwards")
    count = call.store.counters.peek(counter_key("forwards", address["_id"]), allowed)
    used = {"allowed": allowed, "used": count.value, "ttl": count.seconds_left or False}
    return {
        "targets": target_values(address),
        "limits": {"forwards": used},
        "autoreply": {**_AUTOREPLY, **_known(address.get("autoreply") or {})},
        "forwardedDisabled": bool(address.get("forwardedDisabled")),
    }


def _known(fields: AddressAutoreply) -> Answer:
    """WildDuck stores null for what was not given."""
    return {name: value for name, value in fields.items() if value is not None}
