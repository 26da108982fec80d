"""Shapes that several operations answer with."""

from __future__ import annotations

from storage.accounts.documents import User
from storage.addresses.documents import Address


def enabled_2fa(user: User) -> list[str]:
    """The second factors of an account; old documents have a boolean, or `u2f`."""
    methods = user.get("enabled2fa") or []
    if not isinstance(methods, list):
        return ["totp"]
    found = [method for method in methods if method != "u2f"]
    return [*found, "webauthn"] if "u2f" in methods and "webauthn" not in found else found


def target_values(row: User | Address) -> list[str]:
    """Forwarding targets as the API shows them."""
    return [target["value"] for target in row.get("targets") or ()]
