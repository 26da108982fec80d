"""`mallard verify`: whether what is stored holds together, and what to do where it does not. It changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click
import orjson
from bson import ObjectId

from commands.shared import json_option, settings_in_force
from commands.stores import running_store
from storage.names import NameCheck, NameFinding
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and what to do about it."""

    check: str
    kind: str
    id: ObjectId
    detail: str
    advice: str

    def as_json(self) -> dict[str, object]:
        """The finding as `--json` prints it."""
        return {name: getattr(self, name) for name in self.__slots__}


@click.command()
@json_option
def verify(as_json: bool) -> None:
    """Look for stored names that are not in canonical form or collide. Exit status 1 if there are; changes nothing.

    With --json a line of JSON for each finding.
    """
    count = 0
    with running_store(settings_in_force()) as store:
        for count, finding in enumerate(_findings(store), 1):  # noqa: B007
            if as_json:
                click.echo(orjson.dumps(finding.as_json(), default=str))
            else:
                click.echo(f"{finding.kind} {finding.id}: {finding.detail}\n      {finding.advice}")
    if not as_json:
        click.echo(f"{count} found" if count else "Nothing found")
    sys.exit(1 if count else 0)


def _findings(store: Store) -> Iterator[Finding]:
    """All checks, one after the other; each yields what it finds while it reads."""
    for found in NameCheck(store.databases).findings():
        yield Finding("names", found.kind, found.id, *_about(found))


def _about(found: NameFinding) -> tuple[str, str]:
    if not found.canonical:
        return (
            f"{found.name!r} is no name that can be looked up, or looks like another one",
            "No mail is taken or sent for it: delete it, or make it again in plain form",
        )
    if found.other:
        return (
            f"{found.name!r} is the same as {found.canonical!r}, which {found.other} has",
            "Only that one is found: delete this one, after moving what belongs to it",
        )
    return (
        f"{found.name!r} is looked up as {found.canonical!r} and not found",
        "Make it again in that form, and delete this one",
    )
