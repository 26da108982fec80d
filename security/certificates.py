"""Certificates of TLS servers (RFC 5280) and their keys: read, checked against each other, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from security.normalize import normalize_host
from security.pem import UnusableKey, fingerprint

FEWEST_RSA_BITS = 2048
MOST_CERTIFICATES = 32
_KEY_STARTS = tuple(f"-----BEGIN {kind}PRIVATE KEY-----" for kind in ("", "RSA ", "EC "))
_CURVES = (SECP256R1, SECP384R1, SECP521R1)

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Key:
    """A private key in PEM as it was given, parsed, and its fingerprint."""

    pem: str = field(repr=False)
    private: PrivateKey = field(repr=False)
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Certificates in PEM as they were given, parsed; the server's own is the first."""

    pem: str
    certificates: Sequence[x509.Certificate]

    @property
    def own(self) -> x509.Certificate:
        return self.certificates[0]

    @property
    def expires(self) -> datetime:
        """When the server's own certificate ends."""
        return self.own.not_valid_after_utc

    @property
    def names(self) -> list[str]:
        """The normalized host names and IP addresses it is for; the common name counts where there are none."""
        return list(dict.fromkeys(_alternative_names(self.own) or _common_name(self.own)))


def read_key(text: str) -> Key:
    """A private key that TLS servers use, without a passphrase. Raises UnusableKey."""
    text = text.strip()
    if "ENCRYPTED" in text:
        raise UnusableKey("is encrypted; give it without its passphrase")
    if not text.startswith(_KEY_STARTS):
        raise UnusableKey("is not a private key in PEM")
    try:
        private = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableKey("is not a private key that can be read") from error
    return Key(text, _usable(private), fingerprint(text))


def _usable(private: object) -> PrivateKey:
    match private:
        case RSAPrivateKey() if private.key_size < FEWEST_RSA_BITS:
            raise UnusableKey(f"has {private.key_size} bits; clients ask for {FEWEST_RSA_BITS} or more")
        case EllipticCurvePrivateKey() if not isinstance(private.curve, _CURVES):
            raise UnusableKey(f"is on the curve {private.curve.name}; clients know P-256, P-384 and P-521")
        case RSAPrivateKey() | EllipticCurvePrivateKey() | Ed25519PrivateKey():
            return private
    raise UnusableKey("is neither an RSA, an elliptic-curve nor an Ed25519 key")


def read_chain(text: str) -> Chain:
    """Certificates in PEM, one or more. Raises UnusableKey."""
    text = text.strip()
    if not text.startswith("-----BEGIN CERTIFICATE-----"):
        raise UnusableKey("is not a certificate in PEM")
    try:
        chain = Chain(text, x509.load_pem_x509_certificates(text.encode()))
        _ = chain.names, chain.expires
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKey("is not a certificate that can be read") from error
    if len(chain.certificates) > MOST_CERTIFICATES:
        raise UnusableKey(f"has more than {MOST_CERTIFICATES} certificates")
    return chain


def check_pair(key: Key, chain: Chain) -> None:
    """Raises UnusableKey where the first certificate is not the key's."""
    public = key.private.public_key()
    if _public_key(chain.own) == public:
        return
    if any(_public_key(certificate) == public for certificate in chain.certificates):
        raise UnusableKey("has the certificate of the key, but not as the first")
    raise UnusableKey("is not the certificate of the key")


def _public_key(certificate: x509.Certificate) -> object:
    """None for a kind that is not known here, and so is of no key that is."""
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def strangers(chain: Chain, authorities: Sequence[Chain]) -> list[int]:
    """Which of `authorities` have a certificate that has issued none of the others; -1 stands for the chain itself.

    In which order they come does not matter: clients find the way by themselves (RFC 8446 §4.4.2).
    """
    groups = [(-1, chain.certificates[1:]), *((at, part.certificates) for at, part in enumerate(authorities))]
    every = [chain.own, *(certificate for _, group in groups for certificate in group)]
    return [at for at, group in groups if not all(_has_issued(certificate, every) for certificate in group)]


def _has_issued(issuer: x509.Certificate, certificates: Sequence[x509.Certificate]) -> bool:
    return any(_is_issued(other, issuer) for other in certificates if other != issuer)


def _is_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def covers(names: Sequence[str], host: str) -> bool:
    """Return whether one of the names covers the normalized host; a wildcard stands for one label (RFC 6125 §6.4.3)."""
    return any(name in names for name in candidates(host))


def candidates(host: str) -> list[str]:
    """The names under which a certificate is for a normalized host: its own, and a wildcard for its first label."""
    _, dot, rest = host.partition(".")
    return [host, f"*.{rest}"] if dot else [host]


def _alternative_names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = map(str, found.get_values_for_type(x509.IPAddress))
    names = map(normalize_host, found.get_values_for_type(x509.DNSName))
    return [*filter(None, names), *addresses]


def _common_name(certificate: x509.Certificate) -> list[str]:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [name for name in (normalize_host(str(attribute.value)) for attribute in names[:1]) if name]
