"""Shapes that several operations answer with, and answers that are not JSON."""

from __future__ import annotations

from storage.accounts.documents import User
from storage.addresses.documents import Address


def target_values(row: User | Address) -> list[str]:
    """Forwarding targets as the API shows them."""
    return [target["value"] for target in row.get("targets") or ()]
