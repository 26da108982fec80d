"""What `mallard secrets` does: which keys the secrets at rest are under, and putting them under the present one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

from jobs.rotation import CLEAR, CURRENT, OUTDATED, UNREADABLE, Report, Tally, rotate, survey
from server.running import running_store
from server.settings.table import Settings, SettingsError
from storage.keys.sealed import Place, Sealed

_STATES = (CURRENT, OUTDATED, CLEAR, UNREADABLE)
_LINE = "{:<32}{:>9}{:>10}{:>9}{:>12}{:>9}"


def look(settings: Settings) -> list[Tally]:
    """Look at every secret at rest."""
    with running_store(settings) as store, _shown(store.sealed) as report:
        return survey(store.sealed, report)


def renew(settings: Settings) -> list[Tally]:
    """Store every secret at rest under the present key of its kind. Raises SettingsError where no kind has one."""
    with running_store(settings) as store, _shown(store.sealed) as report:
        if not any(place.ring.current for place in store.sealed.places):
            raise SettingsError("There is no key to encrypt with. Set MALLARD_ENCRYPTION_SECRET.")
        return rotate(store.sealed, report)


@contextmanager
def _shown(sealed: Sealed) -> Iterator[Report]:
    """A bar for each kind, on a terminal."""
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress:
        bars: dict[str, TaskID] = {}

        def report(place: Place, documents: int, tally: Tally) -> None:
            if place.kind not in bars:
                bars[place.kind] = progress.add_task(place.kind, total=sealed.size(place))
            progress.advance(bars[place.kind], documents)

        yield report


def as_table(tallies: Sequence[Tally]) -> Iterator[str]:
    """A line for each kind, then one for each secret that cannot be read."""
    yield _LINE.format("kind", *_STATES, "changed")
    for tally in tallies:
        note = "" if tally.has_key else "  no key"
        yield _LINE.format(tally.kind, *(tally.states[state] for state in _STATES), tally.changed) + note
    for tally in tallies:
        for name in tally.unreadable:
            yield f"cannot be read: {tally.kind}, {name}"


def as_rows(tallies: Sequence[Tally]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "kind": tally.kind,
            "hasKey": tally.has_key,
            **{state: tally.states[state] for state in _STATES},
            "changed": tally.changed,
            "unreadableIds": tally.unreadable,
        }
        for tally in tallies
    ]


def is_fine(tallies: Sequence[Tally]) -> bool:
    """Whether every secret can be read."""
    return not any(tally.states[UNREADABLE] for tally in tallies)


def is_whole(tallies: Sequence[Tally]) -> bool:
    """Whether every secret is under the present key."""
    return not any(tally.states[state] for tally in tallies for state in _STATES if state != CURRENT)
