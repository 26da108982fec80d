"""Domain names in their one form: mapped by UTS 46, of labels that IDNA 2008 allows, in Unicode, lower case and NFC.

Names are compared, stored and written in this form, or in its ASCII form (punycode, RFC 3492). What has none is no
name: let through as it stands, one program would read it as another domain than the next.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import idna

ANY = "*"
"""What stands for all domains: of a DKIM key, and of an address that takes mail at each of them."""

_ACE_PREFIX = "xn--"
_ASCII_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LITERAL = re.compile(r"\[[0-9A-Za-z.:]+\]")  # RFC 5321 §4.1.3
_LONGEST = 253  # of the ASCII form; RFC 1035 §2.3.4
_LONGEST_GIVEN = 1000
_KNOWN = 4096
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


class InvalidDomain(ValueError):
    """A text that is no domain name."""


@lru_cache(_KNOWN)
def canonical_domain(text: str) -> str:
    """The one form of a domain; an address literal and `*` stay. Raises InvalidDomain.

    Labels that are ASCII may have an underscore, or hyphens in third and fourth place, as names in the DNS do.
    """
    if text == ANY or _LITERAL.fullmatch(text):
        return text.lower()
    try:
        labels = [_label(label) for label in _mapped(text).split(".")]
        _check_direction(labels)
    except UnicodeError as error:
        raise InvalidDomain(f"{text[:_LONGEST]!r} is no domain name") from error
    domain = ".".join(labels)
    if len(ascii_domain(domain)) > _LONGEST:
        raise InvalidDomain("a domain name of more than 253 characters")
    return domain


def _mapped(text: str) -> str:
    if len(text) > _LONGEST_GIVEN:
        raise idna.IDNAError("too long")
    return text.lower() if text.isascii() else idna.uts46_remap(text)


def _label(label: str) -> str:
    """A label in Unicode. Raises IDNAError for what is neither an LDH label, an A-label nor a U-label (RFC 5890)."""
    if label.isascii() and not label.startswith(_ACE_PREFIX):
        if not _ASCII_LABEL.fullmatch(label):
            raise idna.IDNAError(f"{label!r} is no label")
        return label
    name = idna.ulabel(label) if label.isascii() else label
    ascii_label = idna.alabel(name)  # checks each character, and the length
    if name.isascii() or (label.isascii() and ascii_label.decode() != label):
        raise idna.IDNAError(f"{label!r} says something else")
    return name


def _check_direction(labels: Sequence[str]) -> None:
    """RFC 5893 §2: where one label is written from right to left, the rule holds for all."""
    if any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for label in labels for char in label):
        for label in labels:
            idna.check_bidi(label, check_ltr=True)


def ascii_domain(domain: str) -> str:
    """The form of a canonical domain that DNS and SMTP know it by."""
    return ".".join(_ascii_label(label) for label in domain.split("."))


def _ascii_label(label: str) -> str:
    return label if label.isascii() else _ACE_PREFIX + label.encode("punycode").decode()


def is_domain(text: str) -> bool:
    """Return whether a text has a canonical form."""
    try:
        return bool(canonical_domain(text))
    except InvalidDomain:
        return False


def domain_text(text: str) -> str:
    """Part of a domain as people search for it, each of its labels in canonical form where it has one."""
    text = text.strip()
    if is_domain(text):
        return canonical_domain(text)
    labels = unicodedata.normalize("NFC", text).lower().split(".")
    return ".".join(canonical_domain(label) if is_domain(label) else label for label in labels)
