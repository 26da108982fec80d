"""Certificates for tests: an authority, one between, and what they issue."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
KINDS = ("ec", "rsa", "ed25519")


@dataclass(frozen=True)
class Issued:
    """A key and its certificate."""

    key: Any
    certificate: x509.Certificate

    @property
    def key_pem(self) -> str:
        return pem(self.key)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode().strip()


def pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes = b"") -> str:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, form, hidden).decode()).strip()


def new_key(kind: str = "ec") -> Any:
    match kind:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def issue(
    *names: str,
    by: Issued | None = None,
    days: float = 90,
    kind: str = "ec",
    ca: bool = False,
    common_name: str = "",
    key: Any = None,
    others: list[x509.GeneralName] | None = None,
) -> Issued:
    """A certificate for host names and addresses, by itself unless `by` an authority."""
    key = key or new_key(kind)
    subject = _name(common_name or (names[0] if names else "nobody"))
    general = [*(others or []), *map(_general, names)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1000))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if general and not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    signer = by.key if by else key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(key, builder.sign(signer, digest))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


ROOT = issue(ca=True, common_name="Test Root")
BETWEEN = issue(ca=True, common_name="Test Between", by=ROOT)
