"""The commands `mallard webhooks …`."""

from __future__ import annotations

import sys
from typing import Any

import click
from bson import ObjectId

from server.cli_settings import settings_in_force


class _Id(click.ParamType[ObjectId]):
    """An id of 24 hexadecimal digits."""

    name = "id"

    def convert(self, value: Any, parameter: Any, context: Any) -> ObjectId:
        """The id; a usage error for anything else."""
        if not ObjectId.is_valid(value):
            self.fail(f"{value} is no id of 24 hexadecimal digits", parameter, context)
        return ObjectId(value)


@click.group()
def webhooks() -> None:
    """Look at webhooks and at what they were not told; `mallard jobs` delivers."""


@webhooks.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def webhooks_list(as_json: bool) -> None:
    """List webhooks: id, URL, types, account, events that wait, failures in a row and the last error."""
    from server.webhooks import listing

    click.echo(listing(settings_in_force(needs_database=True), as_json=as_json))


@webhooks.command("dead")
@click.argument("webhook", required=False, type=_Id())
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the bodies.")
def webhooks_dead(webhook: ObjectId | None, as_json: bool) -> None:
    """List events that were given up, of WEBHOOK or of all: id, webhook, type, account, time, attempts, error."""
    from server.webhooks import dead

    click.echo(dead(settings_in_force(needs_database=True), webhook, as_json=as_json))


@webhooks.command("retry")
@click.argument("event", nargs=-1, type=_Id())
@click.option("--all", "everything", is_flag=True, help="All that were given up.")
def webhooks_retry(event: tuple[ObjectId, ...], everything: bool) -> None:
    """Send each EVENT again that was given up, in its old place before later ones."""
    from server.webhooks import retry

    if bool(event) == everything:
        raise click.UsageError("Name events, or give --all")
    count = retry(settings_in_force(needs_database=True), event)
    click.echo(f"{count} events queued again", err=True)
    sys.exit(0 if count else 1)


@webhooks.command("secret")
@click.argument("webhook", type=_Id())
def webhooks_secret(webhook: ObjectId) -> None:
    """Print what the receiver of WEBHOOK verifies signatures with."""
    from server.webhooks import UnknownHook, secret

    try:
        click.echo(secret(settings_in_force(needs_database=True), webhook))
    except UnknownHook as error:
        raise click.ClickException(str(error)) from error


@webhooks.command("events")
def webhooks_events() -> None:
    """Print the page about events, docs/events.md."""
    from server.pages.events import page

    click.echo(page(), nl=False)
