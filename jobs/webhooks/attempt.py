"""What becomes of an attempt: taken, tried again after a pause, given up, or the end of the hook."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

GONE = 410
_PASSING = frozenset({408, 409, 423, 425, 429})  # refusals that say nothing against the event
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=30)
MOST_REFUSALS = 10
KEPT_TRYING = timedelta(days=3)

Random = Callable[[], float]


class Outcome(Enum):
    """What an attempt came to."""

    ACCEPTED = auto()
    REFUSED = auto()
    UNREACHABLE = auto()
    HOOK_GONE = auto()


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome, and its reason where it is a bad one."""

    outcome: Outcome
    reason: str = ""


def result_of(status: int) -> Result:
    """What a status says: 2xx takes the event, 410 ends the hook, another 4xx or a redirect refuses the event."""
    if 200 <= status < 300:
        return Result(Outcome.ACCEPTED)
    if status == GONE:
        return Result(Outcome.HOOK_GONE)
    refused = 300 <= status < 500 and status not in _PASSING
    return Result(Outcome.REFUSED if refused else Outcome.UNREACHABLE, f"HTTP {status}")


def is_hopeless(outcome: Outcome, attempts: int, since: datetime, now: datetime) -> bool:
    """Return whether an event is given up: refused again and again, or its target out of reach for days."""
    if now - since >= KEPT_TRYING:
        return True
    return outcome is Outcome.REFUSED and attempts >= MOST_REFUSALS


def pause(failures: int, rand: Random = random.random) -> timedelta:
    """How long to wait after so many failures before: twice as long each time, give or take a quarter."""
    wait = min(FIRST_WAIT * (1 << min(failures, 20)), LONGEST_WAIT)
    return wait * (0.75 + rand() / 2)
