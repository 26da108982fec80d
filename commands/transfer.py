"""`mallard import` and `mallard export`: an account's mail, in and out."""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click
from bson import ObjectId
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from commands.shared import print_json, settings_in_force
from commands.stores import running_store
from problems import NotFound
from server.settings.table import Settings
from storage.accounts.documents import User
from storage.store import Store
from transfer.archive import Archive
from transfer.export import export
from transfer.imap import ImapAccount
from transfer.importer import Checkpoint, Importer, ImportStopped, Report
from transfer.importer import Progress as ImportProgress
from transfer.maildir import Maildir
from transfer.mbox import MboxFiles
from transfer.source import Source, SourceError


class AccountUnknown(Exception):
    """There is no such account."""


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
    settings = settings_in_force()
    try:
        with _bar("Import", quiet=as_json) as progress:
            report = _import_from(
                settings, account, _open_source(source, folder, _password), again=again, progress=progress
            )
    except (AccountUnknown, ImportStopped, SourceError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json(report.as_json())
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

    settings = settings_in_force()
    to_stdout = str(target) == "-"
    try:
        with _bar("Export", quiet=as_json) as progress:
            totals = _export_to(settings, account, None if to_stdout else target, progress)
    except (AccountUnknown, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json(totals, err=to_stdout)
    else:
        text = f"{totals['messages']} messages ({totals['bytes']} bytes) in {totals['folders']} mailboxes"
        click.echo(text, err=to_stdout)


def _password(name: str) -> str:
    return os.environ.get("MALLARD_IMPORT_PASSWORD") or str(
        click.prompt(f"Password of {name}", hide_input=True, err=True)
    )


def _open_source(text: str, folder: str, password: Callable[[str], str]) -> Source:
    """The source that a text names; what it is shows in itself. Raises SourceError."""
    if "://" in text:
        return _open_url(text, password)
    path = Path(text).expanduser()
    if not path.exists():
        raise SourceError(f"There is no {path}")
    if path.is_dir():
        return Maildir(path, folder) if (path / "cur").is_dir() else MboxFiles(path, folder)
    return Archive(path) if tarfile.is_tarfile(path) else MboxFiles(path, folder)


def _open_url(text: str, password: Callable[[str], str]) -> Source:
    parts = urlsplit(text)
    if parts.scheme not in ("imap", "imaps"):
        raise SourceError("An account on a server is imaps://user@host")
    if parts.password:
        raise SourceError(
            "Leave the password out of the address: others see it there. Set MALLARD_IMPORT_PASSWORD"
        )
    return ImapAccount(text, password(f"{parts.username}@{parts.hostname}"))


def _import_from(
    settings: Settings, account: str, source: Source, *, again: bool, progress: ImportProgress
) -> Report:
    """Import into an account. Raises AccountUnknown, SourceError and ImportStopped."""
    with closing(source), running_store(settings) as store:
        store.ensure_indexes()
        user = _find_account(store, account)
        checkpoint = Checkpoint(settings.state_dir / "imports", source.name, str(user["_id"]))
        if again:
            checkpoint.forget()
        return Importer(store, user, checkpoint, progress).run(source)


def _export_to(
    settings: Settings, account: str, target: Path | None, progress: ImportProgress
) -> dict[str, int]:
    """Export an account to a file, which is there whole or not at all, or to standard output. Raises AccountUnknown."""
    with running_store(settings) as store:
        user = _find_account(store, account)
        if target is None:
            return export(store, user, sys.stdout.buffer, progress)
        part = target.with_name(f"{target.name}.part")
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            totals = export(store, user, file, progress)
        os.replace(part, target)
        return totals


def _find_account(store: Store, text: str) -> User:
    """The account with this id, user name or address. Raises AccountUnknown."""
    try:
        if ObjectId.is_valid(text):
            return store.users.get(ObjectId(text))
        address = store.addresses.resolve(text) if "@" in text else None
        if address and address.get("user"):
            return store.users.get(address["user"])
        return store.users.get(store.users.id_of(text))
    except NotFound as problem:
        raise AccountUnknown(f"There is no account {text}") from problem


@contextmanager
def _bar(title: str, *, quiet: bool) -> Iterator[ImportProgress]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda folder, done, total: bar.update(
            task, description=f"{title} {folder}", completed=done, total=total or None
        )
