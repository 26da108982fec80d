"""Shapes that several operations answer with."""

from __future__ import annotations

from storage.base.database import Document


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
