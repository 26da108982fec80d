"""Public keys that an account's mail is encrypted with: PGP (RFC 4880) and S/MIME (RFC 8551)."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from security.encryption import repaired_armor, run_gpg
from security.programs import ProgramFailed

_SMALLEST_RSA, _LARGEST_RSA = 2048, 4096
_RSA_ALGORITHMS = frozenset({"1", "2", "3"})
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
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
        path = Path(home) / "key.asc"
        path.write_text(repaired_armor(armored) + "\n", "utf-8")
        fields = _first_key(home, str(path))
        if fields["algorithm"] in _RSA_ALGORITHMS and int(fields["length"] or 0) < _SMALLEST_RSA:
            raise KeyRefused(f"PGP key validation failed. RSA keys need at least {_SMALLEST_RSA} bits")
        try:
            run_gpg(home, "--recipient-file", str(path), "--encrypt", data=b"trial")
        except ProgramFailed as error:
            raise KeyRefused("PGP key validation failed. Nothing can be encrypted with it") from error
    return _info(fields["uid"], fields["fingerprint"])


def _first_key(home: str, path: str) -> dict[str, str]:
    """`algorithm`, `length`, `fingerprint` and first user id of the first key in a file (GnuPG's doc/DETAILS)."""
    try:
        listed = run_gpg(home, "--with-colons", "--show-keys", path)
    except ProgramFailed:
        listed = b""
    rows = [line.split(b":") for line in listed.splitlines()]
    starts = [number for number, row in enumerate(rows) if row[0] == b"pub"]
    if not starts:
        raise KeyRefused("PGP key validation failed. The text holds no public key")
    own = rows[starts[0] : [*starts, len(rows)][1]]
    uids = (_unescaped(row[9]) for row in own if row[0] == b"uid")
    return {
        "algorithm": own[0][3].decode(),
        "length": own[0][2].decode(),
        "fingerprint": next(row[9].decode() for row in own if row[0] == b"fpr"),
        "uid": next((uid for uid in uids if uid), ""),
    }


def _unescaped(text: bytes) -> str:
    """A field as it was before gpg wrote colons and controls as `\\x3a`."""
    return _ESCAPED.sub(lambda code: bytes([int(code[1], 16)]), text).decode("utf-8", "replace")


def _info(user_id: str, fingerprint: str) -> dict[str, str]:
    match = _USER_ID.match(user_id)
    name, address = (match[1], match[2]) if match else ("", user_id if "@" in user_id else "")
    return {
        "name": name or ("" if match else user_id),
        "address": address,
        "fingerprint": fingerprint.lower(),
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
