"""Signatures of what webhooks send, as the Standard Webhooks specification has them, so that its libraries verify them.

Each hook has its own secret, derived from the service's secret and its id: the owner of one receiver cannot sign for
another, and nothing needs to be stored.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

_PREFIX = "whsec_"


def hook_secret(service_secret: str, hook: str) -> str:
    """The secret of a hook, as its receiver configures it: `whsec_` and base64 of 32 bytes."""
    key = hmac.digest(service_secret.encode(), f"webhook {hook}".encode(), hashlib.sha256)
    return _PREFIX + b64encode(key).decode()


def signature(secret: str, delivery: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature` over id, time in seconds since 1970, and body."""
    key = b64decode(secret.removeprefix(_PREFIX))
    content = b".".join([delivery.encode(), str(timestamp).encode(), body])
    return "v1," + b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
