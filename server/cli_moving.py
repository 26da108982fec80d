"""The commands `mallard import` and `mallard export`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from server.cli_settings import settings_in_force

_json = click.option("--json", "as_json", is_flag=True, help="The result as JSON.")


@click.command("import")
@click.argument("account")
@click.argument("source")
@click.option(
    "--folder", default="INBOX", show_default=True, help="Mailbox for a single mbox, or a Maildir's own mail."
)
@click.option("--again", is_flag=True, help="From the beginning, not from where an earlier import stood.")
@_json
def import_mail(account: str, source: str, folder: str, again: bool, as_json: bool) -> None:
    """Bring mail from SOURCE into ACCOUNT, a user name, an address or an id.

    SOURCE is an mbox file, a folder of them, a Maildir, what `mallard export` wrote, or an account on an IMAP server,
    imaps://user@host; its password is taken from MALLARD_IMPORT_PASSWORD, or asked for. Messages that are there
    already are skipped, so it can be broken off and started again. Exit status 1 if something was not taken.
    """
    from server.moving import AccountUnknown, import_from, open_source
    from transfer.intake import ImportStopped
    from transfer.source import SourceError

    settings = settings_in_force()
    try:
        with _bar("Import", quiet=as_json) as progress:
            report = import_from(
                settings, account, open_source(source, folder, _password), again=again, progress=progress
            )
    except (AccountUnknown, ImportStopped, SourceError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        _print_json(report.shown())
    else:
        click.echo(
            f"{report.stored} messages stored ({report.bytes} bytes), {report.duplicates} were there already, "
            f"{report.refused_count} refused, {report.folders} folders"
        )
        for problem in report.refused:
            click.echo(f"refused: {problem['folder']} {problem['position']}: {problem['code']}", err=True)
    sys.exit(1 if report.refused_count else 0)


@click.command("export")
@click.argument("account")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@_json
def export_mail(account: str, target: Path, as_json: bool) -> None:
    """Write the mail of ACCOUNT to TARGET, a tar file of mbox and JSON that `import` takes; - is standard output."""
    from server.moving import AccountUnknown, export_to

    settings = settings_in_force()
    to_stdout = str(target) == "-"
    try:
        with _bar("Export", quiet=as_json) as progress:
            totals = export_to(settings, account, None if to_stdout else target, progress)
    except (AccountUnknown, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        _print_json(totals, err=to_stdout)
    else:
        text = f"{totals['messages']} messages ({totals['bytes']} bytes) in {totals['folders']} mailboxes"
        click.echo(text, err=to_stdout)


def _password(name: str) -> str:
    return os.environ.get("MALLARD_IMPORT_PASSWORD") or str(
        click.prompt(f"Password of {name}", hide_input=True, err=True)
    )


def _print_json(value: Any, *, err: bool = False) -> None:
    from server.http.json import dumps

    click.echo(dumps(value).decode(), nl=False, err=err)


@contextmanager
def _bar(title: str, *, quiet: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda folder, done, total: bar.update(
            task, description=f"{title} {folder}", completed=done, total=total or None
        )
