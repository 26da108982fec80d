"""Public keys that an account's mail is encrypted with: PGP (RFC 4880) and S/MIME (RFC 8551)."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from typing import Any

import gnupg
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from security.encryption import repaired_armor

_SMALLEST_RSA, _LARGEST_RSA = 2048, 4096
_RSA_ALGORITHMS = frozenset({"1", "2", "3"})
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_USER_ID = re.compile(r"^(.*?)\s*<([^<>]+)>\s*$")


class KeyRefused(ValueError):
    """The key cannot be used; the text says why."""


def mark(*keys: str) -> str:
    """A fingerprint of keys: what is known of a key holds as long as its fingerprint is the same."""
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


def pgp_key_info(armored: str) -> dict[str, str]:
    """`{name, address, fingerprint}` of a PGP key that mail can be encrypted with. Raises KeyRefused.

    Runs gpg in a throw-away home. A missing empty line after the armor header is tolerated.
    """
    with tempfile.TemporaryDirectory(prefix="mallard-gpg-") as home:
        gpg = gnupg.GPG(gnupghome=home)
        gpg.import_keys(repaired_armor(armored))
        keys = gpg.list_keys()
        if not keys:
            raise KeyRefused("PGP key validation failed. The text holds no public key")
        key = keys[0]
        if key["algo"] in _RSA_ALGORITHMS and int(key["length"]) < _SMALLEST_RSA:
            raise KeyRefused(f"PGP key validation failed. RSA keys need at least {_SMALLEST_RSA} bits")
        trial = gpg.encrypt("trial", key["fingerprint"], always_trust=True)
        if not trial.ok:
            raise KeyRefused(f"PGP key validation failed. Nothing can be encrypted with it: {trial.status}")
    return _info(key)


def _info(key: Mapping[str, Any]) -> dict[str, str]:
    user_id = next((uid for uid in key["uids"] if uid), "")
    match = _USER_ID.match(user_id)
    name, address = (match[1], match[2]) if match else ("", user_id if "@" in user_id else "")
    return {
        "name": name or ("" if match else user_id),
        "address": address,
        "fingerprint": key["fingerprint"].lower(),
    }


def certificate_info(pem: str, number: int) -> dict[str, str]:
    """`{subject, serial, fingerprint}` of an S/MIME certificate, the `number`-th given. Raises KeyRefused."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.strip().encode())
        key = certificate.public_key()
    except (ValueError, TypeError) as error:
        raise _certificate_refused(number, "It is no X.509 certificate") from error
    is_rsa = isinstance(key, rsa.RSAPublicKey) and _SMALLEST_RSA <= key.key_size <= _LARGEST_RSA
    is_ec = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)
    if not is_rsa and not is_ec:
        raise _certificate_refused(
            number, "Its key is neither RSA of 2048 to 4096 bits nor P-256, P-384 or P-521"
        )
    return {
        "subject": "\n".join(attribute.rfc4514_string() for attribute in certificate.subject),
        "serial": f"{certificate.serial_number:X}",
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    }


def _certificate_refused(number: int, reason: str) -> KeyRefused:
    return KeyRefused(f"S/MIME certificate validation failed. Certificate #{number}: {reason}")
