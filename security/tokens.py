"""Access tokens as values: their text, the hash they are stored under, and the signature of a record."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets

TOKEN_BYTES = 20


def new_token() -> str:
    """40 hex digits."""
    return secrets.token_hex(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """What a token is stored under: SHA-256 of its text, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def signature(secret: str, token: str, user: str, role: str, auth_version: int | None) -> str:
    """HMAC-SHA256 in hex over the record, so that writing to the database alone makes no token."""
    record: dict[str, str | int] = {"token": token, "user": user}
    if auth_version is not None:
        record["authVersion"] = auth_version
    record["role"] = role
    message = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()


def is_signed(given: str, secret: str, token: str, user: str, role: str, auth_version: int | None) -> bool:
    """Return whether `given` is the signature of the record, compared in constant time."""
    return hmac.compare_digest(given, signature(secret, token, user, role, auth_version))
