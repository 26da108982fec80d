"""Storing all secrets at rest under the present key, and looking at which keys they are under.

It may be broken off at any moment and started again, and run as often as one likes: what is under the present key
already is left alone, and each secret is changed only if it still is what was read. It goes over everything until
one round finds nothing to do, because an account that is deleted or restored takes its seed to another collection.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from security.secrets import SecretUnreadable
from storage.keys.sealed import Place, Sealed, Secret

CURRENT, OUTDATED, CLEAR, UNREADABLE = "current", "outdated", "clear", "unreadable"
_MOST_ROUNDS = 10
_NICENESS = 10
_MOST_NAMED = 20


@dataclass(slots=True)
class Tally:
    """What is known of the secrets of one kind: how many are in which state, and some that cannot be read."""

    kind: str
    has_key: bool
    states: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    unreadable: list[str] = field(default_factory=list)


Report = Callable[[Place, int, Tally], None]
"""Called after each step with the documents read in it and the tally of the kind so far."""


def ignore(place: Place, documents: int, tally: Tally) -> None:
    """Report no progress."""


def survey(sealed: Sealed, report: Report = ignore) -> list[Tally]:
    """Which secrets are under the present key. Each costs some 50 ms of computing, on all processors."""
    return _round(sealed, sealed.places, report, _look)


def rotate(sealed: Sealed, report: Report = ignore) -> list[Tally]:
    """Store every secret under the present key of its kind; kinds that have none stay as they are."""
    places = [place for place in sealed.places if place.ring.current]
    tallies: dict[str, Tally] = {}
    known: set[bytes] = set()
    for _ in range(_MOST_ROUNDS):
        before = {kind: tally.changed for kind, tally in tallies.items()}
        for tally in _round(sealed, places, report, partial(_renew, sealed, known)):
            tally.changed += before.get(tally.kind, 0)
            tallies[tally.kind] = tally
        if all(
            tally.changed == before.get(kind, 0) and not tally.states[OUTDATED]
            for kind, tally in tallies.items()
        ):
            break
    return list(tallies.values())


Step = Callable[[Secret], tuple[str, bool]]


def _round(sealed: Sealed, places: Iterable[Place], report: Report, step: Step) -> list[Tally]:
    tallies = []
    with ThreadPoolExecutor(os.cpu_count() or 1, initializer=_go_behind) as pool:
        for place in places:
            tally = Tally(place.kind, bool(place.ring.current))
            tallies.append(tally)
            for documents, secrets in sealed.steps(place):
                for secret, (state, is_changed) in zip(secrets, pool.map(step, secrets), strict=True):
                    _count(tally, secret, state, is_changed=is_changed)
                report(place, documents, tally)
    return tallies


def _go_behind() -> None:
    """Requests go first where there are not enough processors for all. On Linux, threads have priorities."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _count(tally: Tally, secret: Secret, state: str, *, is_changed: bool) -> None:
    tally.states[state] += 1
    tally.changed += is_changed
    if state == UNREADABLE and len(tally.unreadable) < _MOST_NAMED:
        tally.unreadable.append(f"{secret.id}.{secret.name}")


def _look(secret: Secret) -> tuple[str, bool]:
    if not secret.stored.startswith("$"):
        return CLEAR, False
    try:
        opened = secret.place.ring.open(secret.stored)
    except SecretUnreadable:
        return UNREADABLE, False
    return (OUTDATED if opened.is_outdated else CURRENT), False


def _renew(sealed: Sealed, known: set[bytes], secret: Secret) -> tuple[str, bool]:
    """The state that it has now. One that was changed meanwhile is looked at in the next round."""
    if (mark := _mark(secret.stored)) in known:
        return CURRENT, False
    ring = secret.place.ring
    try:
        opened = ring.open(secret.stored)
    except SecretUnreadable:
        return UNREADABLE, False
    if not opened.is_outdated:
        known.add(mark)
        return CURRENT, False
    fresh = ring.encrypt(opened.text)
    if not sealed.replace(secret, fresh):
        return OUTDATED, False
    known.add(_mark(fresh))
    return CURRENT, True


def _mark(stored: str) -> bytes:
    """A fingerprint of a stored form, to save memory: it has random parts, so no two are alike."""
    return hashlib.sha256(stored.encode()).digest()
