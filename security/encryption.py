"""Encrypting for the owner of a public key: OpenPGP through gpg, CMS (RFC 5652, 5083) through openssl.

Both run as processes of their own with a throw-away folder. Under gevent, processes can be started in a greenlet of
the main thread alone, where waiting for them lets others go on; in a thread of its pool that is refused. So only what
takes CPU time here is handed over to a thread.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from mail.encrypted import is_encrypted, wrap_pgp, wrap_smime
from mail.mime_tree import normalize, parse
from mail.rewrite import split
from security.offload import Offload, run_here
from security.programs import ProgramFailed, run_program

_ARMOR_HEADER = re.compile(r"^(-----BEGIN PGP PUBLIC KEY BLOCK-----)\n(?!\n|[A-Za-z]+: )")
_CIPHERS = {"AES-CBC": "-aes-256-cbc", "AES-GCM": "-aes-256-gcm"}
_OAEP = ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256")
_GPG = ("gpg", "--batch", "--no-tty", "--no-options", "--no-autostart", "--homedir")


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


def run_gpg(home: str, *arguments: str, data: bytes = b"") -> bytes:
    """What gpg writes, with nothing but `home` to go by. Raises ProgramFailed."""
    return run_program([*_GPG, home, *arguments], data)


def encrypt_pgp(data: bytes, key: str) -> bytes:
    """`data` encrypted for an armored public key, armored with LF line ends. Raises EncryptionFailed."""
    with tempfile.TemporaryDirectory(prefix="mallard-gpg-") as home:
        path = Path(home) / "key.asc"
        path.write_text(repaired_armor(key) + "\n", "utf-8")
        try:
            return run_gpg(home, "--armor", "--recipient-file", str(path), "--encrypt", data=data)
        except ProgramFailed as error:
            raise EncryptionFailed(str(error)) from error


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
            if key_transport == "OAEP" and _is_rsa(certificate):
                command += [part for option in _OAEP for part in ("-keyopt", option)]
        try:
            return run_program(command, data)
        except ProgramFailed as error:
            raise EncryptionFailed(str(error)) from error


def _is_rsa(certificate: str) -> bool:
    try:
        key = x509.load_pem_x509_certificate(certificate.strip().encode()).public_key()
    except (ValueError, TypeError) as error:
        raise EncryptionFailed(f"a certificate cannot be read: {error}") from error
    return isinstance(key, rsa.RSAPublicKey)
