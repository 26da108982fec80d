"""Keys in PEM (RFC 7468), and the fingerprint by which WildDuck's API names one."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----", re.S)


class UnusableKey(ValueError):
    """A private key or a certificate is not one that can be used; the text says why."""


def fingerprint(pem: str) -> str:
    """SHA-256 over the DER of the first block, in hexadecimal with colons. Raises UnusableKey.

    It is taken of a private key as it was given: the same key in PKCS#1 and in PKCS#8 has two of them.
    """
    return hashlib.sha256(der_of(pem)).digest().hex(":")


def der_of(pem: str) -> bytes:
    """The bytes of the first block. Raises UnusableKey."""
    match = _BLOCK.search(pem)
    try:
        return b64decode("".join(match[2].split()), validate=True) if match else _no_block()
    except ValueError as error:
        raise UnusableKey("is not in PEM") from error


def _no_block() -> bytes:
    raise ValueError("there is no block")
