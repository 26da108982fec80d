"""Secrets at rest, TOTP seeds and private keys, in the forms that WildDuck writes and reads.

    text without a leading `$`                         in clear
    $wd01$aes-256-gcm$<tag>$<iv>$<salt>$<data>         the present form, parts in hex, key by scrypt
    $<hex>                                             the old form: CBC, key and IV by EVP_BytesToKey with MD5

None of them has room for the name of its key, so a key ring tries its keys one after the other; only while old
values are still around does that cost more than one. scrypt takes some 50 ms: callers run this off the event loop.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

OLD_CIPHERS = {"aes-128-cbc": 16, "aes-192-cbc": 24, "aes-256-cbc": 32}  # their key's length
DEFAULT_OLD_CIPHER = "aes-192-cbc"

_IV_BYTES, _SALT_BYTES, _TAG_BYTES, _BLOCK_BYTES = 12, 16, 16, 16
_HEX = "((?:[0-9a-f]{2})*)"
_PRESENT = re.compile(rf"\$wd01\$aes-256-gcm\$([0-9a-f]{{32}})\$([0-9a-f]{{24}})\$([0-9a-f]{{32}})\${_HEX}")
_OLD = re.compile(rf"\${_HEX}", re.I)


class SecretUnreadable(Exception):
    """A stored secret can be read with none of the configured keys: a fault of the configuration, never a caller's."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A secret's text, and whether it would be stored otherwise now: under a newer key, or encrypted at all."""

    text: str
    is_outdated: bool


@dataclass(frozen=True, slots=True)
class KeyRing:
    """`current` encrypts, empty for nothing; what it or one of `older` has encrypted is read.

    To change the key, move it to `older`: values are stored under the new one as they are used.
    """

    current: str = ""
    older: Sequence[str] = ()
    old_cipher: str = DEFAULT_OLD_CIPHER

    def encrypt(self, text: str) -> str:
        """What to store for `text`: the present form, or `text` itself where there is no key."""
        if not self.current:
            if text.startswith("$"):
                raise ValueError("A secret that starts with $ cannot be stored in clear")
            return text
        iv, salt = secrets.token_bytes(_IV_BYTES), secrets.token_bytes(_SALT_BYTES)
        sealed = AESGCM(_scrypt(self.current, salt)).encrypt(iv, text.encode(), None)
        data, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
        return "$".join(["", "wd01", "aes-256-gcm", tag.hex(), iv.hex(), salt.hex(), data.hex()])

    def decrypt(self, stored: str) -> str:
        """The text of a stored secret. Raises SecretUnreadable."""
        return self.open(stored).text

    def open(self, stored: str) -> Opened:
        """The text of a stored secret, and whether to store it again. Raises SecretUnreadable."""
        if not stored.startswith("$"):
            return Opened(stored, is_outdated=bool(self.current))
        for key in filter(None, (self.current, *self.older)):
            text = self._read(stored, key)
            if text is not None:
                is_present = bool(_PRESENT.fullmatch(stored)) and key == self.current
                return Opened(text, is_outdated=bool(self.current) and not is_present)
        raise SecretUnreadable("A stored secret can be read with none of the configured keys")

    def _read(self, stored: str, key: str) -> str | None:
        """None where the key is not the right one, or the stored text was tampered with."""
        if match := _PRESENT.fullmatch(stored):
            return _read_present(key, *map(bytes.fromhex, match.groups()))
        if match := _OLD.fullmatch(stored):
            return _read_old(key, bytes.fromhex(match[1]), OLD_CIPHERS[self.old_cipher])
        raise SecretUnreadable("A stored secret has a form that is not known")


@dataclass(frozen=True, slots=True)
class KeyRings:
    """The key ring of each kind of secret; WildDuck has a separate key for each."""

    totp: KeyRing = field(default_factory=KeyRing)
    dkim: KeyRing = field(default_factory=KeyRing)
    certs: KeyRing = field(default_factory=KeyRing)


def _scrypt(key: str, salt: bytes) -> bytes:
    return hashlib.scrypt(key.encode(), salt=salt, n=16_384, r=8, p=1, dklen=32)


def _read_present(key: str, tag: bytes, iv: bytes, salt: bytes, data: bytes) -> str | None:
    try:
        return AESGCM(_scrypt(key, salt)).decrypt(iv, data + tag, None).decode()
    except InvalidTag:
        return None


def _read_old(key: str, data: bytes, key_bytes: int) -> str | None:
    """The old form has no tag; a wrong key shows in the padding, or in bytes that are no text."""
    material = _bytes_to_key(_low_bytes(key), key_bytes + _BLOCK_BYTES)
    decryptor = Cipher(AES(material[:key_bytes]), CBC(material[key_bytes:])).decryptor()
    unpadder = PKCS7(_BLOCK_BYTES * 8).unpadder()
    try:
        padded = decryptor.update(data) + decryptor.finalize()
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except ValueError:
        return None


def _low_bytes(key: str) -> bytes:
    """Latin-1 as Node.js does it: of each UTF-16 unit the low byte."""
    return key.encode("utf-16-le")[::2]


def _bytes_to_key(secret: bytes, length: int) -> bytes:
    """OpenSSL's EVP_BytesToKey with MD5, one round and no salt."""
    material = block = b""
    while len(material) < length:
        block = hashlib.md5(block + secret, usedforsecurity=False).digest()
        material += block
    return material[:length]
