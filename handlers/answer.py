"""Answers that are not JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Live(Protocol):
    """What a stream sends that lasts until it ends by itself, for a server that does not wait for it in `chunks`."""

    blocked_since: float | None
    """Since when, by the monotonic clock, the client has not taken what is being sent to it."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be sent."""

    def call(self, wake: Callable[[], None], disconnect: Callable[[], None]) -> None:
        """Call `wake` from now on when there may be news or the end, `disconnect` to cut the connection."""

    def first(self) -> Iterator[bytes]:
        """What is sent at the beginning."""

    def news(self) -> Iterator[bytes]:
        """What is new since."""

    def idling(self) -> bytes:
        """What keeps an idle connection alive."""

    def close(self) -> None:
        """The last byte was sent, or the client has gone."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes sent as they come; `headers` go beside the content type.

    A `live` one lasts until it ends by itself, and its connection with it; `chunks` are then for a server that can
    do no more than to wait in them. `on_end` is called when the last byte was sent or the client has gone.
    """

    chunks: Iterable[bytes]
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    live: Live | None = None
    on_end: Callable[[], None] | None = None
