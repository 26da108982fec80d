"""Shapes that several operations answer with."""

from __future__ import annotations

import json
from typing import Any

import orjson

from storage.database import Document


def custom_data(stored: Any) -> Any:
    """Data of the caller's own, which is stored as JSON; text that is none is handed out as it is."""
    if not isinstance(stored, str):
        return stored or {}
    try:
        return orjson.loads(stored) if stored else {}
    except orjson.JSONDecodeError:
        return _from_javascript(stored)


def _from_javascript(stored: str) -> Any:
    """JSON that JavaScript writes and no other takes: with halves of characters, or numbers beyond all limits."""
    try:
        value = json.loads(stored)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return stored


def enabled_2fa(user: Document) -> list[str]:
    """The second factors of an account; old documents have a boolean, or `u2f`."""
    methods = user.get("enabled2fa") or []
    if not isinstance(methods, list):
        return ["totp"]
    found = [method for method in methods if method != "u2f"]
    return [*found, "webauthn"] if "u2f" in methods and "webauthn" not in found else found


def target_values(user: Document) -> list[str]:
    """Forwarding targets as the API shows them."""
    return [target["value"] for target in user.get("targets") or ()]
