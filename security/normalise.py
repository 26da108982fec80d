"""One spelling for each address, domain and user name, so that equal things compare equal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import idna

_LONGEST_WILDCARD = 32


def normalise_domain(domain: str) -> str:
    """Lower case, in Unicode form, NFC. A label that is no valid punycode stays as it is (RFC 5891)."""
    domain = domain.strip().lower()
    labels = (_unicode_label(label) for label in domain.split("."))
    return unicodedata.normalize("NFC", ".".join(labels)).lower()


def _unicode_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return idna.ulabel(label)
    except idna.IDNAError:
        return label


def normalise_address(address: str, *, without_label: bool = False, without_dots: bool = False) -> str:
    """Local part and domain in lower case and NFC; on demand without `+label` and without dots."""
    if not address:
        return ""
    local, _, domain = address.rpartition("@")
    local = unicodedata.normalize("NFC", local).lower().strip()
    if without_label:
        local = local.partition("+")[0]
    if without_dots:
        local = local.replace(".", "")
    return f"{local}@{normalise_domain(domain)}"


def view(name: str) -> str:
    """The form that is unique: lower case, no dots before the first `@` (or at all, without one)."""
    local, at, domain = name.lower().partition("@")
    return local.replace(".", "") + at + domain


def lookup_address(address: str) -> str:
    """The form in which an address is looked up: no label, no dots."""
    return normalise_address(address, without_label=True, without_dots=True)


def username_view(username: str) -> str:
    """The form in which a user name is looked up; one that looks like an address loses its label, too."""
    return lookup_address(username) if "@" in username else view(username)


def wildcard_candidates(local: str, domain: str) -> Iterator[str]:
    """The wildcard addresses that take mail for `local@domain`, the most specific first."""
    for length in range(min(len(local), _LONGEST_WILDCARD), 0, -1):
        yield f"{local[:length]}*@{domain}"
        yield f"*{local[-length:]}@{domain}"
    yield f"*@{domain}"


def domain_of(address: str) -> str:
    """What stands behind the last `@`."""
    return address.rpartition("@")[2]


def sorted_tags(tags: list[str]) -> tuple[list[str], list[str]]:
    """Tags as shown and as compared: no duplicates in any case, sorted; the first spelling stays."""
    spellings: dict[str, str] = {}
    for tag in tags:
        spellings.setdefault(tag.lower(), tag)
    views = sorted(spellings)
    return [spellings[tag] for tag in views], views


def tag_list(text: str) -> list[str]:
    """The tags of a comma-separated list, as compared."""
    return list(dict.fromkeys(tag for part in text.split(",") if (tag := part.strip().lower())))
