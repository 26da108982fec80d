"""`mallard audits`: which audits there are, and what was done with one by whom."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click
from bson import ObjectId

from commands.shared import json_option, print_json
from commands.stores import configured_store
from problems import AuditNotFound
from server.http.json import date_text
from storage.audits.audits import listed


@click.group()
def audits() -> None:
    """Look at the audits of accounts, and at what was done with them by whom."""


@audits.command("list")
@json_option
def audits_list(as_json: bool) -> None:
    """List audits, the newest first: id, account, state, messages copied and failed, when it ends."""
    with configured_store() as store:
        rows = list(map(listed, store.audits.all()))
    if as_json:
        print_json(rows)
    else:
        click.echo("\n".join(map(_line, rows)))


@audits.command("show")
@click.argument("audit")
@json_option
def audits_show(audit: str, as_json: bool) -> None:
    """Show the audit with the id AUDIT, and who started and exported it. Exit status 1 if there is none."""
    with configured_store() as store:
        try:
            row = listed(store.audits.get(ObjectId(audit))) if ObjectId.is_valid(audit) else None
        except AuditNotFound:
            row = None
    if row is None:
        click.echo("No audit has this id", err=True)
        sys.exit(1)
    if as_json:
        print_json(row)
    else:
        click.echo("\n".join([_line(row), *map(_action, row["history"])]))


def _line(audit: Mapping[str, Any]) -> str:
    """Id, account, state, how many were copied and how many could not be, when it ends."""
    state = "ended" if audit["deleted"] else audit["import"]["status"]
    counts = f"{audit['audited']} copied  {audit['import']['failed']} failed"
    return f"{audit['id']}  {audit['user']}  {state}  {counts}  {date_text(audit['expires'])}"


def _action(entry: Mapping[str, Any]) -> str:
    labels = "".join(f"  {name} {entry[name]}" for name in ("ip", "sess") if name in entry)
    return f"{date_text(entry['time'])}  {entry['action']}  by {entry['by']} ({entry['role']}){labels}"
