"""Where forwarded addresses forward to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bson import ObjectId

from security.normalize import domain_of, lookup_address, normalize_address, normalize_domain, view
from storage.addresses.addresses import Addresses, registrations
from storage.addresses.documents import Target


def stored_target(value: str) -> Target:
    """A forwarding target as it stands on disk."""
    scheme = value.partition(":")[0].lower() if ":" in value else ""
    kinds = {"smtp": "relay", "smtps": "relay", "http": "http", "https": "http"}
    kind = kinds.get(scheme, "mail")
    return {"id": ObjectId(), "type": kind, "value": _at_domain(value) if kind == "mail" else value}


def _at_domain(address: str) -> str:
    """An address with its domain in canonical form, the local part as it is given."""
    local, _, domain = address.rpartition("@")
    return address if domain.isascii() else f"{local}@{normalize_domain(domain)}"


def stored_targets(addresses: Addresses, values: Sequence[str]) -> list[Target]:
    """Targets as they stand on disk; one that is an account's address names the account."""
    targets = [stored_target(value) for value in values]
    views = {t["value"]: view(normalize_address(t["value"])) for t in targets if t["type"] == "mail"}
    owners = addresses.owners(list(views.values())) if views else {}
    return [
        {**target, "user": owner} if (owner := owners.get(views.get(target["value"], ""))) else target
        for target in targets
    ]


def self_forwards(
    addresses: Addresses, address: str, values: Sequence[str], own_id: ObjectId | None = None
) -> list[int]:
    """Which of these targets, by their place, would come back to `address` itself.

    A label, an alias of its domain or a wildcard leads back as well, unless another address takes the mail first.
    `own_id` is the id of the address if it exists, perhaps still under another name.
    """
    before = dict(_before(addresses, view(address), values))
    taken = addresses.owners([name for names in before.values() for name in names], without=own_id)
    return [place for place, names in before.items() if not taken.keys() & set(names)]


def own_targets(addresses: Addresses, user: ObjectId, values: Sequence[str]) -> list[int]:
    """Which of these targets, by their place, would come back to the account, by any of its addresses."""
    mail = {p: lookup_address(v) for p, v in enumerate(values) if stored_target(v)["type"] == "mail"}
    domains = [domain_of(found) for found in mail.values()]
    aliases = addresses.alias_targets(domains) if domains else {}
    ours = addresses.known_domains([*domains, *aliases.values()]) if domains else set()
    names = {
        place: registrations(found, aliases.get(domain_of(found)), wildcards=True)
        for place, found in mail.items()
        if {domain_of(found), aliases.get(domain_of(found))} & ours
    }
    owners = addresses.owners([name for wanted in names.values() for name in wanted]) if names else {}
    return [
        p for p, wanted in names.items() if next((owners[n] for n in wanted if n in owners), None) == user
    ]


def _before(addresses: Addresses, own: str, values: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The targets that can lead to `own`, each with what would take its mail before.

    `user@*` accepts mail at our domains only, although its form allows others.
    """
    mail = {
        place: lookup_address(value)
        for place, value in enumerate(values)
        if stored_target(value)["type"] == "mail"
    }
    domains = [domain_of(found) for found in mail.values()]
    aliases = addresses.alias_targets(domains)
    ours = addresses.known_domains(domains) if own.endswith("@*") else set(domains)
    for place, found in mail.items():
        names = registrations(found, aliases.get(domain_of(found)), wildcards=True)
        if own in names and domain_of(found) in ours:
            yield place, names[: names.index(own)]
