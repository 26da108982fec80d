"""The commands `mallard queue …`."""

from __future__ import annotations

import sys

import click

from server.cli_settings import settings_in_force


@click.group()
def queue() -> None:
    """Look at mail that waits to be sent; have it tried again, or removed."""


@queue.command("list")
@click.option("--domain", default="", help="Only recipients of this domain.")
@click.option("--limit", default=100, show_default=True, help="At most so many, 0 for all.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def queue_list(domain: str, limit: int, as_json: bool) -> None:
    """List recipients, the earliest due first: id, number, state, next attempt, attempts so far, recipient, reply."""
    from server.queue import listing

    click.echo(listing(settings_in_force(), domain=domain, limit=limit, as_json=as_json))


@queue.command("show")
@click.argument("queue_id")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def queue_show(queue_id: str, as_json: bool) -> None:
    """Show a queued message: sender, header, and each recipient with what was tried. Exit status 1 if there is none."""
    from server.queue import show

    text = show(settings_in_force(), queue_id, as_json=as_json)
    click.echo(text or "No message in the queue has this id", err=not text)
    sys.exit(0 if text else 1)


@queue.command("retry")
@click.argument("queue_id")
@click.argument("numbers", nargs=-1)
def queue_retry(queue_id: str, numbers: tuple[str, ...]) -> None:
    """Try a message again now, for all recipients or those with the NUMBERS. Exit status 1 if there is none."""
    from server.queue import retry

    count = retry(settings_in_force(), queue_id, numbers)
    click.echo(f"{count} recipients are due now", err=True)
    sys.exit(0 if count else 1)


@queue.command("remove")
@click.argument("queue_id")
@click.argument("numbers", nargs=-1)
def queue_remove(queue_id: str, numbers: tuple[str, ...]) -> None:
    """Remove a message, for all recipients or those with the NUMBERS, unless it is being sent. No one is told.

    Exit status 1 if there was none to remove.
    """
    from server.queue import remove

    count = remove(settings_in_force(), queue_id, numbers)
    click.echo(f"{count} recipients removed", err=True)
    sys.exit(0 if count else 1)
