"""When a recipient that was deferred is tried again, and when it is given up."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from delivery.relay.replies import Reply
from storage.queue.documents import Attempt, Deferred

LIFETIME = timedelta(days=5)
_PAUSE = re.compile(r"(\d+)\s*(ms|[smhd]?)\Z", re.I)
_UNITS = {"ms": 0.001, "": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_USUAL = (300.0, 900.0, 3600.0, 7200.0, 14_400.0)
_SHORTEST = 10.0
_JITTER = 0.2
_KEPT = 20


def pauses(text: str) -> Sequence[float]:
    """The setting `const:sender:defer_times`, such as `5m, 2h`, in seconds; a sensible row where it is empty."""
    found = [_PAUSE.match(word.strip()) for word in text.split(",")]
    return [max(_SHORTEST, int(m[1]) * _UNITS[m[2].lower()]) for m in found if m] or _USUAL


class Schedule:
    """The pauses one after the other, the last one again and again; longer by up to a fifth, so that what was
    deferred together does not come back together. Five days after the first attempt follows the last."""

    def __init__(self, pauses: Sequence[float], random_number: Callable[[], float] = random.random) -> None:
        self._pauses = pauses
        self._random = random_number

    def next(self, before: Deferred, reply: Reply, now: datetime) -> tuple[datetime, Deferred] | None:
        """When to try again and what to remember as `_deferred`, given what was remembered; None to give up."""
        count = int(before.get("count") or 0)
        first = _time(before["first"]) if before.get("first") else now
        end = first + LIFETIME
        if now >= end:
            return None
        pause = self._pauses[min(count, len(self._pauses) - 1)] * (1 + _JITTER * self._random())
        until = min(now + timedelta(seconds=pause), end)
        attempt: Attempt = {"time": _ms(now), "response": str(reply), "host": reply.host}
        return until, {
            "first": _ms(first),
            "last": _ms(now),
            "next": _ms(until),
            "count": count + 1,
            "response": str(reply),
            "log": [*(_attempts(before.get("log"))), attempt][-_KEPT:],
        }


def _attempts(log: object) -> list[Attempt]:
    """Earlier attempts; what another program keeps there in another form does not count."""
    attempts = [entry for entry in log if isinstance(entry, dict)] if isinstance(log, list) else []
    return cast("list[Attempt]", attempts)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _time(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
