"""`mallard secrets`: which keys the secrets at rest are encrypted with, and putting them under the present one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypedDict

import click
from rich.console import Console
from rich.progress import Progress, TaskID

from commands.shared import json_option, print_json, settings_in_force
from commands.stores import running_store
from jobs.rotation import CLEAR, CURRENT, OUTDATED, UNREADABLE, Report, Tally, rotate, survey
from server.settings.table import SettingsError
from storage.keys.sealed import Place, Sealed

_STATES = (CURRENT, OUTDATED, CLEAR, UNREADABLE)
_LINE = "{:<32}{:>9}{:>10}{:>9}{:>12}{:>9}"


class Row(TypedDict):
    """The secrets of one kind, as JSON; the four states are counts."""

    kind: str
    hasKey: bool
    current: int
    outdated: int
    clear: int
    unreadable: int
    changed: int
    unreadableIds: list[str]


@click.group()
def secrets() -> None:
    """Look at the secrets at rest (TOTP seeds, private keys), and change the key they are encrypted with."""


@secrets.command("list")
@json_option
def secrets_list(as_json: bool) -> None:
    """Count the secrets under the present key, an older one, in clear; exit status 1 if one cannot be read."""
    with running_store(settings_in_force()) as store, _progress(store.sealed) as report:
        tallies = survey(store.sealed, report)
    _print(tallies, as_json=as_json)
    sys.exit(1 if any(tally.states[UNREADABLE] for tally in tallies) else 0)


@secrets.command("rotate")
@json_option
def secrets_rotate(as_json: bool) -> None:
    """Encrypt all secrets with the present key; exit status 1 if one is left that is not.

    First set MALLARD_ENCRYPTION_SECRET to the new key and move the old one to MALLARD_ENCRYPTION_OLD_SECRETS, and
    start all processes again. The command may be broken off and run again at any time, while everything runs. Once
    it was successful, the old key can go.
    """
    with running_store(settings_in_force()) as store, _progress(store.sealed) as report:
        if not any(place.ring.current for place in store.sealed.places):
            raise SettingsError("There is no key to encrypt with. Set MALLARD_ENCRYPTION_SECRET.")
        tallies = rotate(store.sealed, report)
    _print(tallies, as_json=as_json)
    left = (tally.states[state] for tally in tallies for state in _STATES if state != CURRENT)
    sys.exit(1 if any(left) else 0)


@contextmanager
def _progress(sealed: Sealed) -> Iterator[Report]:
    """A bar for each kind, on a terminal."""
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress:
        bars: dict[str, TaskID] = {}

        def report(place: Place, documents: int, tally: Tally) -> None:
            if place.kind not in bars:
                bars[place.kind] = progress.add_task(place.kind, total=sealed.size(place))
            progress.advance(bars[place.kind], documents)

        yield report


def _print(tallies: Sequence[Tally], *, as_json: bool) -> None:
    if as_json:
        print_json([_row(tally) for tally in tallies])
    else:
        click.echo("\n".join(_table(tallies)))


def _table(tallies: Sequence[Tally]) -> Iterator[str]:
    """A line for each kind, then one for each secret that cannot be read."""
    yield _LINE.format("kind", *_STATES, "changed")
    for tally in tallies:
        note = "" if tally.has_key else "  no key"
        yield _LINE.format(tally.kind, *(tally.states[state] for state in _STATES), tally.changed) + note
    for tally in tallies:
        for name in tally.unreadable:
            yield f"cannot be read: {tally.kind}, {name}"


def _row(tally: Tally) -> Row:
    return {
        "kind": tally.kind,
        "hasKey": tally.has_key,
        "current": tally.states[CURRENT],
        "outdated": tally.states[OUTDATED],
        "clear": tally.states[CLEAR],
        "unreadable": tally.states[UNREADABLE],
        "changed": tally.changed,
        "unreadableIds": tally.unreadable,
    }
