"""Apple configuration profiles of a mail account: a property list, signed as CMS (RFC 5652)."""

from __future__ import annotations

import plistlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from security.pem import UnusableKey

CONTENT_TYPE = "application/x-apple-aspen-config"
_YEARS = timedelta(days=3650)
_AUTHENTICATION = "EmailAuthPassword"
_NOT_IN_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a mail program finds a service; `secure` for TLS from the first byte."""

    host: str
    port: int
    secure: bool


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key, its certificate, and the certificates between that and a known one."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: Sequence[x509.Certificate] = ()


@dataclass(frozen=True, slots=True)
class ProfileRules:
    """What all profiles of a service have in common. In texts `{email}` and `{name}` are the account's."""

    imap: Server = Server("localhost", 9993, True)
    pop3: Server = Server("localhost", 9995, True)
    smtp: Server = Server("localhost", 2587, False)
    identifier: str = "com.email.mallard"
    title: str = "Mallard Mail"
    organization: str = "Mallard Mail Services"
    description: str = "Install this profile to set up {email}"
    account: str = "Mallard ({email})"
    signer: Signer | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """The account that a profile sets up."""

    user: str
    name: str
    address: str
    password: str = field(repr=False)


def build(rules: ProfileRules, account: Account, scopes: Sequence[str], title: str) -> bytes:
    """The property list, in XML. `scopes` are the stored ones of the password."""
    shared = {
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{_filled(rules.identifier, account)}.{account.user}",
        "PayloadOrganization": _filled(rules.organization, account),
    }
    outer = {
        **shared,
        "PayloadType": "Configuration",
        "PayloadUUID": str(uuid.uuid4()),
        "PayloadDisplayName": title or _filled(rules.title, account),
        "PayloadDescription": _filled(rules.description, account),
        "PayloadContent": [{**shared, **_mail(rules, account, scopes)}],
    }
    return plistlib.dumps(_for_xml(outer))


def _mail(rules: ProfileRules, account: Account, scopes: Sequence[str]) -> dict[str, object]:
    by_imap = "*" in scopes or "imap" in scopes
    return {
        "PayloadType": "com.apple.mail.managed",
        "PayloadUUID": str(uuid.uuid4()),
        "PayloadDisplayName": "Email Account",
        "PayloadDescription": "Configures email account",
        "EmailAccountDescription": _filled(rules.account, account),
        "EmailAccountName": account.name,
        "EmailAccountType": "EmailTypeIMAP" if by_imap else "EmailTypePOP",
        "EmailAddress": account.address,
        "IncomingPassword": account.password,
        "OutgoingPasswordSameAsIncomingPassword": True,
        **_server("Incoming", rules.imap if by_imap else rules.pop3, account),
        **_server("Outgoing", rules.smtp, account),
        "PreventMove": False,
        "PreventAppSheet": False,
        "SMIMEEnabled": False,
        "allowMailDrop": True,
    }


def _server(way: str, server: Server, account: Account) -> dict[str, object]:
    return {
        f"{way}MailServerAuthentication": _AUTHENTICATION,
        f"{way}MailServerHostName": server.host,
        f"{way}MailServerPortNumber": server.port,
        f"{way}MailServerUseSSL": server.secure,
        f"{way}MailServerUsername": account.address,
    }


def _filled(text: str, account: Account) -> str:
    """The parts between are filled in once: what a name contains is never taken for a place to fill."""
    parts = [part.replace("{name}", account.name) for part in text.split("{email}")]
    return account.address.join(parts).strip()


def _for_xml(value: Any) -> Any:
    """The same without the characters that XML 1.0 cannot hold, in all texts within."""
    if isinstance(value, str):
        return _NOT_IN_XML.sub("", value)
    if isinstance(value, dict):
        return {name: _for_xml(part) for name, part in value.items()}
    return [_for_xml(part) for part in value] if isinstance(value, list) else value


def sign(data: bytes, signer: Signer) -> bytes:
    """CMS SignedData in DER with the content inside; the algorithm follows from the key."""
    builder = PKCS7SignatureBuilder().set_data(data)
    builder = builder.add_signer(signer.certificate, signer.key, hashes.SHA256())
    for certificate in signer.chain:
        builder = builder.add_certificate(certificate)
    return builder.sign(Encoding.DER, [PKCS7Options.Binary, PKCS7Options.NoAttributes])


def load_signer(key_pem: bytes, certificates_pem: bytes, password: bytes | None = None) -> Signer:
    """A signer from PEM, the signer's own certificate first. Raises UnusableKey."""
    try:
        key = load_pem_private_key(key_pem, password)
        certificate, *chain = x509.load_pem_x509_certificates(certificates_pem)
    except (ValueError, TypeError) as error:
        raise UnusableKey(f"no private key and certificates in PEM: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise UnusableKey("the key is neither RSA nor of an elliptic curve")
    if key.public_key() != certificate.public_key():
        raise UnusableKey("the first certificate is not the key's")
    return Signer(key, certificate, chain)


def make_signer(organization: str, now: datetime) -> Signer:
    """A new key with a self-signed certificate. Takes some tenths of a second."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, organization[:64] or "Mallard")])
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    purposes = [ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CODE_SIGNING]
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )
    return Signer(key, builder.sign(key, hashes.SHA256()))


def to_pem(signer: Signer, password: bytes) -> tuple[bytes, bytes]:
    """Key, encrypted with a password, and certificate."""
    key = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    return key, signer.certificate.public_bytes(Encoding.PEM)
