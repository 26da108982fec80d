"""The command `mallard`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from server.cli_audits import audits
from server.cli_jobs import jobs
from server.cli_moving import export_mail, import_mail
from server.cli_queue import queue
from server.cli_secrets import secrets
from server.cli_settings import settings_in_force
from server.cli_token import token
from server.cli_webhooks import webhooks
from server.metrics.page import share_numbers, wants_metrics
from server.settings.table import Settings, SettingsError


class _Group(click.Group):
    """Shows a wrong setting as a line of text and not as a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except SettingsError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mallard")
def main() -> None:
    """Mallard, a mail-account server with one HTTP API.

    Set it up through the environment (MALLARD_…) or a TOML file that MALLARD_CONFIG names; `mallard config`
    shows every setting.
    """


@main.command()
def serve() -> None:
    """Run everything that one machine needs: database, API, LMTP, relay, jobs."""
    from server.processes.mongod import MongodError
    from server.processes.serve import AlreadyRunning, Supervisor

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
    from server.processes.workers import Workers

    Workers(settings).run()


@main.command()
def lmtp() -> None:
    """Take mail in by LMTP, on the MongoDB of MALLARD_MONGO_URI."""
    settings = settings_in_force(needs_database=True)
    from server.processes.lmtp import run_lmtp

    run_lmtp(settings)


@main.command()
def relay() -> None:
    """Send what is queued, on the MongoDB of MALLARD_MONGO_URI."""
    from gevent import monkey

    monkey.patch_all()
    settings = settings_in_force(needs_database=True)
    from server.processes.relay import run_relay

    run_relay(settings)


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
    from server.http.json import dumps

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


for command in (audits, export_mail, import_mail, jobs, queue, secrets, token, webhooks):
    main.add_command(command)
