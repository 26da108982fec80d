"""What a request says about an address, checked beyond what the contract can say."""

from __future__ import annotations

from collections.abc import Sequence

from bson import ObjectId

from handlers.call import Answer, Body, Call
from problems import ChangeNotAllowed, InvalidInput
from security.normalize import is_plain, is_wildcard, normalize_address
from security.reserved import is_reserved
from storage.addresses.documents import Target
from storage.addresses.targets import self_forwards, stored_targets

_WRONG_WILDCARD = 'Invalid wildcard address, use "*@domain" or "user@*"'


def new_address(body: Body) -> str:
    """The normalized address of a new registration. Raises InvalidInput for what cannot be one."""
    address = _plain(body["address"])
    if "*" not in address:
        return address
    if not body.get("allowWildcard"):
        raise InvalidInput({"address": "Address cannot contain *"})
    if not is_wildcard(address):
        raise InvalidInput({"address": _WRONG_WILDCARD})
    if body.get("main"):
        raise InvalidInput({"main": "Main address cannot contain *"})
    return address


def changed_address(before: str, given: str | None) -> str:
    """The normalized address after a change; what says the same in another way changes nothing.

    Raises InvalidInput, and ChangeNotAllowed where one of the two is a wildcard.
    """
    if not given or normalize_address(given) == before:
        return before
    if "*" in before or "*" in given:
        raise ChangeNotAllowed
    return _plain(given)


def check_right(call: Call, address: str) -> None:
    """A user takes addresses of domains that an operator registered, and none that speaks for a whole domain.

    An operator registers a domain with an account, an address, an alias or a DKIM key of it. Raises InvalidInput.
    """
    if call.caller.role != "user" or call.rules.free_addresses:
        return
    local, _, domain = address.rpartition("@")
    if "*" in address:
        raise InvalidInput({"address": "Address cannot contain *"})
    if is_reserved(local):
        raise InvalidInput({"address": f"The name {local} is reserved"})
    if not call.store.addresses.known_domains([domain]) and not call.store.dkim.has_key(domain):
        raise InvalidInput({"address": f"The domain {domain} is not one of this service"})


def _plain(given: str) -> str:
    address = normalize_address(given)
    if "+" in address:
        raise InvalidInput({"address": "Address cannot contain +"})
    if not is_plain(address):
        raise InvalidInput({"address": '"address" must be a valid email'})
    return address


def checked_targets(
    call: Call, address: str, values: Sequence[str], own_id: ObjectId | None = None
) -> list[Target]:
    """Targets as they are stored. Raises InvalidInput for those that lead back to the address."""
    places = self_forwards(call.store.addresses, address, values, own_id)
    if places:
        raise InvalidInput(
            {f"targets,{place}": f"Cannot forward to self {values[place]}" for place in places}
        )
    return stored_targets(call.store.addresses, values)


def stored_autoreply(given: Body) -> Answer:
    """The fields of an autoreply. Text and HTML say the same, so with one the other is emptied, unless it is given."""
    fields = dict(given)
    for one, other in (("text", "html"), ("html", "text")):
        if fields.get(one) == "" and not fields.get(other):
            fields[other] = ""
    return fields
