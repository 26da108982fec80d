"""Encrypting for the owner of a public key: OpenPGP through gpg, CMS (RFC 5652, 5083) through openssl.

Both run as processes of their own with a throw-away folder. Under gevent, processes can be started in a greenlet of
the main thread alone, where waiting for them lets others go on; in a thread of its pool that is refused. So only what
takes CPU time here is handed over to a thread.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gnupg

from mail.encrypted import is_encrypted, wrap_pgp, wrap_smime
from mail.mime_tree import normalize, parse
from mail.rewrite import split
from security.offload import Offload, run_here

_ARMOR_HEADER = re.compile(r"^(-----BEGIN PGP PUBLIC KEY BLOCK-----)\n(?!\n|[A-Za-z]+: )")
_SECONDS = 60
_CIPHERS = {"AES-CBC": "-aes-256-cbc", "AES-GCM": "-aes-256-gcm"}
_OAEP = ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256")


class EncryptionFailed(Exception):
    """Nothing could be encrypted with the key; the text says why."""


def has_key(owner: Mapping[str, Any]) -> bool:
    """Return whether an account or an address has what to encrypt with: certificates (S/MIME) or a PGP key."""
    return bool(owner.get("smimeCerts") or owner.get("pubKey"))


def encrypt_for_owner(raw: bytes, owner: Mapping[str, Any], offload: Offload = run_here) -> bytes:
    """Return a message as only its owner can read it, or `raw` itself where it is encrypted already.

    The owner is an account or an address that has a key; certificates come before a PGP key. What a listing needs of
    the header stays outside. `offload` gets what takes CPU time and starts no process. Raises EncryptionFailed.
    """
    message = offload(normalize, raw)
    if is_encrypted(_outer_header(message)):
        return raw
    if certificates := owner.get("smimeCerts"):
        cipher = owner.get("smimeCipher") or "AES-CBC"
        transport = owner.get("smimeKeyTransport") or "PKCS#1 v1.5"
        cms = encrypt_smime(message, certificates, cipher, transport)
        return offload(wrap_smime, message, cms, authenticated=cipher == "AES-GCM")
    return offload(wrap_pgp, message, encrypt_pgp(message, owner["pubKey"]))


def _outer_header(message: bytes) -> Mapping[str, Any]:
    """The parsed header of a message, which tells whether it is encrypted."""
    header: Mapping[str, Any] = parse(split(message)[0] + b"\r\n").root["parsedHeader"]
    return header


def repaired_armor(key: str) -> str:
    """An armored key with the empty line after its first line, which people lose."""
    return _ARMOR_HEADER.sub(r"\1\n\n", key.replace("\r\n", "\n").strip())


def encrypt_pgp(data: bytes, key: str) -> bytes:
    """`data` encrypted for an armored public key, armored with LF line ends. Raises EncryptionFailed."""
    with tempfile.TemporaryDirectory(prefix="mallard-gpg-") as home:
        gpg = gnupg.GPG(gnupghome=home)
        imported = gpg.import_keys(repaired_armor(key))
        if not imported.fingerprints:
            raise EncryptionFailed("gpg does not take the key")
        encrypted = gpg.encrypt(data, imported.fingerprints[0], always_trust=True)
    if not encrypted.ok:
        raise EncryptionFailed(f"gpg says: {encrypted.status or 'nothing'}")
    return bytes(encrypted.data)


def encrypt_smime(data: bytes, certificates: Sequence[str], cipher: str, key_transport: str) -> bytes:
    """`data` as CMS in DER, readable with the key of any of the certificates (PEM). Raises EncryptionFailed.

    `cipher` is AES-CBC (EnvelopedData) or AES-GCM (AuthEnvelopedData); `key_transport` PKCS#1 v1.5 or OAEP, which
    matters to RSA keys only.
    """
    with tempfile.TemporaryDirectory(prefix="mallard-cms-") as name:
        command = ["openssl", "cms", "-encrypt", "-binary", "-outform", "DER", _CIPHERS[cipher]]
        for number, certificate in enumerate(certificates):
            path = Path(name) / f"{number}.pem"
            path.write_text(certificate, "utf-8")
            command += ["-recip", str(path)]
            if key_transport == "OAEP" and _is_rsa(path):
                command += [part for option in _OAEP for part in ("-keyopt", option)]
        return _run(command, data)


def _is_rsa(certificate: Path) -> bool:
    shown = _run(["openssl", "x509", "-noout", "-text", "-in", str(certificate)], b"")
    return b"rsaEncryption" in shown


def _run(command: Sequence[str], data: bytes) -> bytes:
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EncryptionFailed(f"openssl did not run: {error}") from error
    if done.returncode:
        raise EncryptionFailed(f"openssl says: {done.stderr.decode('utf-8', 'replace').strip()[-300:]}")
    return done.stdout
