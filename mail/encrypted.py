"""The message around an encrypted one: PGP/MIME (RFC 3156) and S/MIME (RFC 8551 §3.3)."""

from __future__ import annotations

import secrets
from base64 import encodebytes
from collections.abc import Mapping
from typing import Any

from mail.mime_tree import header_lines
from mail.rewrite import split

_OUTSIDE = frozenset(
    {
        b"date", b"subject", b"from", b"to", b"message-id", b"bimi-location", b"bimi-indicator",
        b"authentication-results", b"references", b"in-reply-to",
    }
)  # fmt: skip
_ENVELOPED = frozenset({"enveloped-data", "authenveloped-data"})


def is_encrypted(headers: Mapping[str, Any]) -> bool:
    """Return whether a message is encrypted: PGP/MIME (RFC 3156) or enveloped S/MIME (RFC 8551)."""
    kind = headers.get("content-type") or {}
    value = str(kind.get("value") or "").lower()
    smime = str((kind.get("params") or {}).get("smime-type") or "").lower()
    return value == "multipart/encrypted" or (value == "application/pkcs7-mime" and smime in _ENVELOPED)


def wrap_pgp(raw: bytes, armored: bytes) -> bytes:
    """A PGP/MIME message: what identifies `raw` outside, `armored`, which is all of it encrypted, inside."""
    boundary = f"nm_{secrets.token_hex(14)}"
    head = (
        f'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted";\r\n boundary="{boundary}"\r\n'
        "Content-Description: OpenPGP encrypted message\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        "This is an OpenPGP/MIME encrypted message\r\n\r\n"
        f"--{boundary}\r\nContent-Type: application/pgp-encrypted\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        f"Version: 1\r\n\r\n"
        f'--{boundary}\r\nContent-Type: application/octet-stream; name="encrypted.asc"\r\n'
        'Content-Description: OpenPGP encrypted message\r\nContent-Disposition: inline; filename="encrypted.asc"\r\n'
        "Content-Transfer-Encoding: 7bit\r\n\r\n"
    )
    text = b"\r\n".join(armored.replace(b"\r\n", b"\n").strip().split(b"\n"))
    return _outside(raw) + head.encode() + text + f"\r\n\r\n--{boundary}--\r\n".encode()


def wrap_smime(raw: bytes, cms: bytes, *, authenticated: bool) -> bytes:
    """An S/MIME message around CMS in DER; `authenticated` for AuthEnvelopedData."""
    kind = "authEnveloped-data" if authenticated else "enveloped-data"
    head = (
        f"Content-Type: application/pkcs7-mime; smime-type={kind}; name=smime.p7m\r\n"
        "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=smime.p7m\r\n\r\n"
    )
    return _outside(raw) + head.encode() + encodebytes(cms).replace(b"\n", b"\r\n")


def _outside(raw: bytes) -> bytes:
    """MIME-Version, and the fields that a listing needs; everything else is only inside."""
    header, _ = split(raw)
    kept = [line for line in header_lines(header) if line.partition(b":")[0].strip().lower() in _OUTSIDE]
    return b"\r\n".join([b"MIME-Version: 1.0", *kept, b""])
