"""One spelling for each address, domain and user name, so that equal things compare equal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from ipaddress import ip_address

import idna

from mail.domains import InvalidDomain, canonical_domain, domain_text

LONGEST_AFFIX = 32
_NO_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f\"(),:;<>@\[\\\]]")


def normalize_domain(domain: str) -> str:
    """The canonical form of a domain, see `mail.domains`; empty for what is none, which no domain is equal to."""
    try:
        return canonical_domain(domain)
    except InvalidDomain:
        return ""


def normalize_host(name: str) -> str:
    """The same of a name that a TLS server has: a domain, one with `*.` before it, or an IP address."""
    if _is_ip(name):
        return name.lower()
    wildcard = "*." if name.startswith("*.") else ""
    domain = normalize_domain(name.removeprefix(wildcard))
    return domain and wildcard + domain


def _is_ip(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def normalize_address(address: str, *, without_label: bool = False, without_dots: bool = False) -> str:
    """Local part in lower case and NFC, on demand without `+label` and without dots; the domain in canonical form.

    Nothing stands behind the `@` where there is no domain.
    """
    if not address:
        return ""
    local, _, domain = address.rpartition("@")
    local = unicodedata.normalize("NFC", local).lower().strip()
    if without_label:
        local = local.partition("+")[0]
    if without_dots:
        local = local.replace(".", "")
    return f"{local}@{normalize_domain(domain)}"


def view(name: str) -> str:
    """The form that is unique: lower case, no dots before the first `@` (or at all, without one)."""
    local, at, domain = name.lower().partition("@")
    return local.replace(".", "") + at + domain


def lookup_address(address: str) -> str:
    """The form in which an address is looked up: no label, no dots."""
    return normalize_address(address, without_label=True, without_dots=True)


def username_view(username: str) -> str:
    """The form in which a user name is looked up; one that looks like an address loses its label, too."""
    if "@" not in username:
        return view(username)
    found = lookup_address(username)
    # What stands behind the @ of a user name may be no domain, with a `:` or `=` in it.
    return found if domain_of(found) or not username.isascii() else view(username)


def is_plain(address: str) -> bool:
    """Return whether a normalized address may be registered: its local part stands for nothing but itself."""
    local, _, domain = address.rpartition("@")
    return bool(local and domain) and not _NO_ADDRESS.search(local + domain) and _is_own_form(local)


def _is_own_form(local: str) -> bool:
    """Return whether a local part is no look-alike of another one: full-width letters, ligatures, what nobody sees.

    What UTS 46 maps to something else, or to nothing, is refused and not mapped: look-ups do not map it either.
    """
    if local.isascii():
        return True
    hidden = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}
    if any(unicodedata.category(char) in hidden for char in local):
        return False
    try:
        mapped = idna.uts46_remap(local, std3_rules=False)
    except idna.IDNAError:
        return False
    return mapped == local == unicodedata.normalize("NFKC", local)


def is_wildcard(address: str) -> bool:
    """Return whether it is a wildcard that can match: `*@domain`, `*suffix@domain`, `prefix*@domain` or `user@*`."""
    local, _, domain = address.rpartition("@")
    if address.count("*") != 1:
        return False
    if domain == "*":
        return bool(local)
    return "*" in (local[:1], local[-1:]) and len(local) - 1 <= LONGEST_AFFIX


def search_text(query: str) -> str:
    """Part of an address, in the form in which addresses are stored."""
    local, at, domain = query.rpartition("@")
    return unicodedata.normalize("NFC", local).lower() + at + domain_text(domain)


def sender_pattern(pattern: str) -> str:
    """An address, or a part of one with a `*` at its start or end, in the form in which senders are compared."""
    if pattern.endswith("*"):
        return search_text(pattern[:-1]) + "*" if "@" in pattern else pattern.lower()
    return search_text(pattern) if "@" in pattern else "*" + domain_text(pattern[1:])


def wildcard_candidates(local: str, domain: str) -> Iterator[str]:
    """The wildcard addresses that take mail for `local@domain`, the most specific first."""
    for length in range(min(len(local), LONGEST_AFFIX), 0, -1):
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
