"""DKIM signatures (RFC 6376, 8463), relaxed/relaxed with SHA-256, made of a message's bytes.

What is signed is the message as SMTP sends it: a bare line feed counts as a line's end, and the last line has one.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# RFC 6376 §5.4.1. A field that is named once more than it occurs cannot be added on the way (§8.15).
_NEVER_ADDED = ("From", "To", "Cc", "Reply-To", "Subject", "In-Reply-To", "References")
_ONLY_ONCE = ("Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding")
_AS_THEY_ARE = (
    "Sender", "Content-ID", "Content-Description", "Content-Disposition", "Resent-Date", "Resent-From",
    "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID", "List-Id", "List-Help", "List-Unsubscribe",
    "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive", "Autocrypt",
)  # fmt: skip

_HEADER_END = re.compile(rb"(?:\A|\r?\n)\r?\n")
_FIELD_END = re.compile(rb"\r?\n(?![ \t])")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.S)
_BREAKS = re.compile(rb"\r?\n")
_BLANKS = re.compile(rb"[ \t]+")
_PIECE = 1 << 18
_LONGEST_LINE = 76
_ANY = re.compile(rf".{{1,{_LONGEST_LINE - 1}}}")
_DIGEST = Prehashed(SHA256())

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A parsed private key, the domain that it signs for (in punycode), and where its public half is found."""

    domain: str
    selector: str
    private: PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The name of `a=`."""
        return "rsa-sha256" if isinstance(self.private, RSAPrivateKey) else "ed25519-sha256"

    def sign(self, digest: bytes) -> bytes:
        """The signature over a SHA-256 digest; Ed25519 takes the digest for its message (RFC 8463 §3)."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(digest, PKCS1v15(), _DIGEST)
        return self.private.sign(digest)


def parse_key(pem: str) -> PrivateKey:
    """A private key for SigningKey. It takes long enough to keep the result. Raises ValueError."""
    private = load_pem_private_key(pem.encode(), None)
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("DKIM signs with RSA and Ed25519 alone")
    return private


def signature_header(message: bytes, key: SigningKey, now: datetime) -> bytes:
    """The field `DKIM-Signature`, folded and with its CRLF, to be put before the message."""
    end = _HEADER_END.search(message)
    names, canonical = _signed(_fields(message[: end.start()] if end else message))
    body = b64encode(body_hash(message, end.end() if end else len(message))).decode()
    unsigned = _folded(_tokens(key, now, names, body))
    digest = hashlib.sha256(canonical + b"dkim-signature:" + _relaxed(unsigned.encode())).digest()
    signature = _ANY.findall(b64encode(key.sign(digest)).decode())
    return "\r\n ".join([f"DKIM-Signature: {unsigned}", *signature]).encode() + b"\r\n"


def body_hash(message: bytes, start: int = 0) -> bytes:
    """SHA-256 of the body that begins at `start`, relaxed (RFC 6376 §3.4.4).

    The body is gone through once, in pieces, so that a large one is not copied.
    """
    digest, end = hashlib.sha256(), _text_end(message, start)
    while start < end:
        cut = message.find(b"\n", min(start + _PIECE, end), end) + 1 or end
        digest.update(_relaxed_lines(message[start:cut], is_last=cut == end))
        start = cut
    return digest.digest()


def _text_end(message: bytes, start: int) -> int:
    """Where the empty lines at the end begin; lines of blanks alone are empty, a bare CR is not."""
    end = len(message)
    while end > start:
        block = max(start, end - _PIECE)
        kept = len(message[block:end].rstrip(b" \t\r\n"))
        end = block + kept
        if kept:
            break
    bare_cr = message[end:].replace(b"\r\n", b"\n\n").rfind(b"\r")
    return end + bare_cr + 1


def _relaxed_lines(piece: bytes, *, is_last: bool) -> bytes:
    """Whole lines of a body with single blanks, none at their ends, and CRLF after each."""
    lines = piece.replace(b"\r\n", b"\n").replace(b"\t", b" ")
    while b"  " in lines:
        lines = lines.replace(b"  ", b" ")
    lines = lines.replace(b" \n", b"\n").replace(b"\n", b"\r\n")
    return lines + b"\r\n" if is_last else lines


def _fields(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names in lower case and values as they stand; lines that are no field are left out."""
    for line in _FIELD_END.split(header):
        if match := _FIELD.fullmatch(line):
            yield match[1].lower(), match[2]


def _signed(fields: Iterable[tuple[bytes, bytes]]) -> tuple[list[str], bytes]:
    """The names of `h=`, and what of the header is signed: of equal fields the last first (RFC 6376 §5.4.2)."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    names: list[str] = []
    canonical = b""
    for title in (*_NEVER_ADDED, *_ONLY_ONCE, *_AS_THEY_ARE):
        key = title.lower().encode()
        found = values.get(key, [])
        once_more = title in _NEVER_ADDED or (title in _ONLY_ONCE and bool(found))
        names += [title.lower()] * (len(found) + once_more)
        canonical += b"".join(b"%b:%b\r\n" % (key, _relaxed(value)) for value in reversed(found))
    return names, canonical


def _relaxed(value: bytes) -> bytes:
    """A field's value on one line with single blanks (RFC 6376 §3.4.2)."""
    return _BLANKS.sub(b" ", _BREAKS.sub(b"", value)).strip(b" \t")


def _tokens(key: SigningKey, now: datetime, names: list[str], body: str) -> Iterator[str]:
    """The parts of the field between which it may be folded."""
    yield from (" v=1;", f" a={key.algorithm};", " c=relaxed/relaxed;", f" d={key.domain};")
    yield from (f" s={key.selector};", f" t={int(now.timestamp())};", " h=")
    yield from (f"{name}:" for name in names[:-1])
    yield from (f"{names[-1]};", f" bh={body};", " b=")


def _folded(tokens: Iterable[str]) -> str:
    """Lines of a sensible length. The name of the field, which is not among the tokens, stands in the first."""
    lines = [" " * len("DKIM-Signature:")]
    for token in tokens:
        if len(lines[-1]) + len(token) > _LONGEST_LINE:
            lines.append(" ")
        lines[-1] += token.lstrip() if lines[-1] == " " else token
    return "\r\n".join(lines).lstrip()
