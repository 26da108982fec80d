"""The commands `mallard audits …`."""

from __future__ import annotations

import sys

import click

from server.cli_settings import settings_in_force


@click.group()
def audits() -> None:
    """Look at the audits of accounts, and at what was done with them by whom."""


@audits.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def audits_list(as_json: bool) -> None:
    """List audits, the newest first: id, account, state, messages copied and failed, when it ends."""
    from server.audits import as_line, listing
    from server.http.json import dumps

    found = listing(settings_in_force(needs_database=True))
    click.echo(dumps(found).decode() if as_json else "\n".join(map(as_line, found)))


@audits.command("show")
@click.argument("audit")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def audits_show(audit: str, as_json: bool) -> None:
    """Show the audit with the id AUDIT, and who started and exported it. Exit status 1 if there is none."""
    from server.audits import as_text, show
    from server.http.json import dumps

    found = show(settings_in_force(needs_database=True), audit)
    if not found:
        click.echo("No audit has this id", err=True)
        sys.exit(1)
    click.echo(dumps(found).decode() if as_json else as_text(found))
