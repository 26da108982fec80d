"""One spelling for each address, domain and user name, so that equal things compare equal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

LONGEST_AFFIX = 32
_ACE_PREFIX = "xn--"
_NO_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f\"(),:;<>@\[\\\]]")


def normalize_domain(domain: str) -> str:
    """Lower case, in Unicode form, NFC. A label that is no punycode stays as it is (RFC 3492)."""
    domain = domain.strip().lower()
    labels = (_unicode_label(label) for label in domain.split("."))
    return unicodedata.normalize("NFC", ".".join(labels)).lower().strip()


def _unicode_label(label: str) -> str:
    """What IDNA 2008 no longer allows is decoded all the same: equal names must not come to stand in two forms.

    Text that punycode would never have made of a name is left alone: it would pass one domain off as another.
    """
    if not label.startswith(_ACE_PREFIX):
        return label
    try:
        encoded = label.removeprefix(_ACE_PREFIX).encode("ascii")
        decoded = encoded.decode("punycode")
        decoded.encode()
    except UnicodeError:
        return label
    is_name = not decoded.isascii() and decoded.encode("punycode") == encoded
    return decoded if is_name else label


def ascii_domain(domain: str) -> str:
    """The form of a normalized domain that DNS knows it by (RFC 3492)."""
    return ".".join(_ascii_label(label) for label in domain.split("."))


def _ascii_label(label: str) -> str:
    return label if label.isascii() else _ACE_PREFIX + label.encode("punycode").decode()


def normalize_address(address: str, *, without_label: bool = False, without_dots: bool = False) -> str:
    """Local part and domain in lower case and NFC; on demand without `+label` and without dots."""
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
    return lookup_address(username) if "@" in username else view(username)


def is_plain(address: str) -> bool:
    """Return whether an address is still valid after normalization, which can turn other characters into ASCII."""
    local, _, domain = address.rpartition("@")
    return bool(local and domain) and not _NO_ADDRESS.search(local + domain)


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
    return unicodedata.normalize("NFC", local).lower() + at + normalize_domain(domain)


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
