"""Shapes that several operations answer with, and answers that are not JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from storage.accounts.documents import User
from storage.addresses.documents import Address
from updates.stream import Live


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes sent as they come; `headers` are added to the content type.

    A `live` one lasts until it ends by itself, and its connection with it; `chunks` are then for a server that can
    do no more than to wait in them. `on_end` is called when the last byte was sent or the client has gone.
    """

    chunks: Iterable[bytes]
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    live: Live | None = None
    on_end: Callable[[], None] | None = None


def target_values(row: User | Address) -> list[str]:
    """Forwarding targets as the API shows them."""
    return [target["value"] for target in row.get("targets") or ()]
