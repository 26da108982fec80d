"""The command `mallard`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click
from bson import ObjectId

from server.cli_moving import export_mail, import_mail
from server.cli_queue import queue
from server.cli_secrets import secrets
from server.cli_settings import settings_in_force
from server.cli_token import token
from server.metricspage import share_numbers, wants_metrics
from server.settings import Settings, SettingsError


class _Group(click.Group):
    """Shows a wrong setting as a line of text and not as a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except SettingsError as error:
            raise click.ClickException(str(error)) from error


class _Id(click.ParamType[ObjectId]):
    """An id of 24 hexadecimal digits."""

    name = "id"

    def convert(self, value: Any, parameter: Any, context: Any) -> ObjectId:
        """The id; a usage error for anything else."""
        if not ObjectId.is_valid(value):
            self.fail(f"{value} is no id of 24 hexadecimal digits", parameter, context)
        return ObjectId(value)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mallard")
def main() -> None:
    """Mallard, a mail-account server with one HTTP API.

    Set it up through the environment (MALLARD_…) or a TOML file that MALLARD_CONFIG names; `mallard config`
    shows every setting.
    """


main.add_command(queue)
main.add_command(secrets)


@main.command()
def serve() -> None:
    """Run everything that one machine needs: database, API, LMTP, relay, jobs."""
    from server.mongod import MongodError
    from server.serve import AlreadyRunning, Supervisor

    settings = settings_in_force()
    try:
        Supervisor(settings).run()
    except (AlreadyRunning, MongodError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
def api() -> None:
    """Run the HTTP API alone, on the MongoDB of MALLARD_MONGO_URI."""
    from gevent import monkey

    monkey.patch_all()
    settings = settings_in_force(needs_database=True)
    if wants_metrics(settings):
        share_numbers(settings.state_dir / f"metrics-{settings.bind.replace('/', '_')}")
    from server.workers import Workers

    Workers(settings).run()


@main.command()
def lmtp() -> None:
    """Take mail in by LMTP, on the MongoDB of MALLARD_MONGO_URI."""
    settings = settings_in_force(needs_database=True)
    from server.lmtp import run_lmtp

    run_lmtp(settings)


@main.command()
def relay() -> None:
    """Send what is queued, on the MongoDB of MALLARD_MONGO_URI."""
    from gevent import monkey

    monkey.patch_all()
    settings = settings_in_force(needs_database=True)
    from server.relaying import run_relay

    run_relay(settings)


@main.group(invoke_without_command=True)
@click.pass_context
def jobs(context: click.Context) -> None:
    """Run background work alone, on the MongoDB of MALLARD_MONGO_URI."""
    if context.invoked_subcommand is None:
        from server.background import run_jobs

        run_jobs(settings_in_force(needs_database=True))


@jobs.command("list")
@click.option(
    "--failed", "which", flag_value="failed", help="Only those given up; exit status 1 if there are any."
)
@click.option("--finished", "which", flag_value="finished", help="Those done within the last day.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with data and progress.")
def jobs_list(which: str | None, as_json: bool) -> None:
    """List the tasks that wait, run or have failed: id, kind, status, due time, progress, error."""
    from server.background import as_lines, listing
    from server.json import dumps

    tasks = listing(settings_in_force(needs_database=True), which or "")
    click.echo(dumps(tasks).decode() if as_json else as_lines(tasks))
    sys.exit(1 if which == "failed" and tasks else 0)


@jobs.command("show")
@click.argument("task")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def jobs_show(task: str, as_json: bool) -> None:
    """Show the task with the id TASK, how far it has come and what went wrong. Exit status 1 if there is none."""
    from server.background import as_text, show
    from server.json import dumps

    found = show(settings_in_force(needs_database=True), task)
    if not found:
        click.echo("No task has this id", err=True)
        sys.exit(1)
    click.echo(dumps(found).decode() if as_json else as_text(found))


@jobs.command("retry")
@click.argument("task")
def jobs_retry(task: str) -> None:
    """Start the failed task with the id TASK again, where it stood. Exit status 1 if there is none."""
    from server.background import retry

    found = retry(settings_in_force(needs_database=True), task)
    click.echo("Task started again" if found else "No failed task has this id", err=True)
    sys.exit(0 if found else 1)


@main.group()
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
    from server.eventspage import page

    click.echo(page(), nl=False)


@main.group()
def audits() -> None:
    """Look at the audits of accounts, and at what was done with them by whom."""


@audits.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def audits_list(as_json: bool) -> None:
    """List audits, the newest first: id, account, state, messages copied and failed, when it ends."""
    from server.audits import as_line, listing
    from server.json import dumps

    found = listing(settings_in_force(needs_database=True))
    click.echo(dumps(found).decode() if as_json else "\n".join(map(as_line, found)))


@audits.command("show")
@click.argument("audit")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def audits_show(audit: str, as_json: bool) -> None:
    """Show the audit with the id AUDIT, and who started and exported it. Exit status 1 if there is none."""
    from server.audits import as_text, show
    from server.json import dumps

    found = show(settings_in_force(needs_database=True), audit)
    if not found:
        click.echo("No audit has this id", err=True)
        sys.exit(1)
    click.echo(dumps(found).decode() if as_json else as_text(found))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def config(as_json: bool) -> None:
    """Print every setting in force; secrets are masked."""
    from dataclasses import fields

    shown = settings_in_force().shown()
    if as_json:
        click.echo(_json({name: _plain(value) for name, value in shown.items()}), nl=False)
        return
    for setting in fields(Settings):
        value = shown[setting.name]
        text = " ".join(value) if isinstance(value, tuple) else str(value)
        click.echo(f"# {setting.metadata['help']}\nMALLARD_{setting.name.upper()}={text}\n")


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | str | tuple) else str(value)


def _json(value: Any) -> str:
    from server.json import dumps

    return dumps(value).decode()


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def check(as_json: bool) -> None:
    """Is all there that Mallard needs, and what is to be done? Exit status 1 if something is missing."""
    from server.checks import run_checks

    results = list(run_checks(settings_in_force()))
    fine = all(result.fine for result in results)
    if as_json:
        click.echo(_json({"fine": fine, "checks": [asdict(result) for result in results]}), nl=False)
    else:
        for result in results:
            click.echo(f"{'ok  ' if result.fine else 'FAIL'}  {result.what}: {result.detail}")
            if result.advice:
                click.echo(f"      {result.advice}")
    sys.exit(0 if fine else 1)


@main.command()
@click.option("--address", default="grace@example.com", show_default=True, help="Address of the account.")
def demo(address: str) -> None:
    """Make an account with a few real messages in the running server, and print the lines to look at it."""
    from server.demo import DemoError, make_demo

    try:
        click.echo(make_demo(settings_in_force(), address))
    except DemoError as error:
        raise click.ClickException(str(error)) from error


main.add_command(token)
main.add_command(import_mail)
main.add_command(export_mail)
