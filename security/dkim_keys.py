"""Keys of DKIM (RFC 6376, 8463): made, read in the forms that people have them in, and shown as DNS records."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from security.pem import UnusableKey, fingerprint

RSA, ED25519 = "rsa", "ed25519"
RSA_BITS = 2048
FEWEST_BITS, MOST_BITS = 1024, 4096
"""What verifiers have to take (RFC 8301 §3.2)."""

_SEED = re.compile(r"[A-Za-z0-9+/]{43}=")  # 32 bytes
_LONGEST_STRING = 255
PrivateKey = RSAPrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both halves in PEM; `public_value` is the public one as `p=` has it, `bits` the size of an RSA key."""

    private: str = field(repr=False)
    public: str
    public_value: str
    fingerprint: str
    bits: int | None


def generate(kind: str = RSA) -> KeyPair:
    """A new pair. RSA takes from a tenth of a second to seconds of computing."""
    key = Ed25519PrivateKey.generate() if kind == ED25519 else generate_private_key(65537, RSA_BITS)
    return _pair(key, _pem_of(key))


def read(text: str) -> KeyPair:
    """The pair of a private key in PEM (PKCS#1 or PKCS#8), or of an Ed25519 seed in base64. Raises UnusableKey."""
    text = text.strip()
    pem = _pem_of(_from_seed(text)) if _SEED.fullmatch(text) else text
    return _pair(_load(pem), pem)


def _from_seed(text: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(b64decode(text))


def _pem_of(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()


def _load(pem: str) -> PrivateKey:
    """Parsing an RSA key checks that its numbers belong together."""
    if "ENCRYPTED" in pem:
        raise UnusableKey("is encrypted; give it without its passphrase")
    if not pem.startswith(("-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----")):
        raise UnusableKey("is neither a private key in PEM (PKCS#1 or PKCS#8) nor an Ed25519 seed in base64")
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKey("is not a private key that can be read") from error
    return _checked(key)


def _checked(key: object) -> PrivateKey:
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise UnusableKey("is neither an RSA nor an Ed25519 key")
    if not FEWEST_BITS <= key.key_size <= MOST_BITS:
        raise UnusableKey(
            f"has {key.key_size} bits, which verifiers need not take ({FEWEST_BITS} to {MOST_BITS})"
        )
    return key


def _pair(key: PrivateKey, pem: str) -> KeyPair:
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    bits = key.key_size if isinstance(key, RSAPrivateKey) else None
    return KeyPair(pem, public, _value(key.public_key()), fingerprint(pem), bits)


def _value(key: RSAPublicKey | Ed25519PublicKey) -> str:
    if isinstance(key, Ed25519PublicKey):
        return b64encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    return b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def dns_value(public: str) -> str:
    """The value of the DNS record that a public key in PEM is published with (RFC 6376 §3.6.1)."""
    key = load_pem_public_key(public.encode())
    if not isinstance(key, RSAPublicKey | Ed25519PublicKey):
        raise UnusableKey("is neither an RSA nor an Ed25519 key")
    kind = "k=ed25519;" if isinstance(key, Ed25519PublicKey) else ""
    return f"v=DKIM1;{kind}t=s;p={_value(key)}"


def dns_strings(value: str) -> list[str]:
    """The same value as character strings of a TXT record, at most 255 bytes each (RFC 1035 §3.3)."""
    return [value[at : at + _LONGEST_STRING] for at in range(0, len(value), _LONGEST_STRING)]
