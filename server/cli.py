"""The command `mallard`."""

from __future__ import annotations

import sys
from typing import Any

import click

from server import logging as logs
from server.metricspage import share_numbers, wants_metrics
from server.settings import Settings, SettingsError


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
    """Run everything that one machine needs: database, API, jobs."""
    from server.mongod import MongodError
    from server.serve import AlreadyRunning, Supervisor

    settings = _settings()
    try:
        Supervisor(settings).run()
    except (AlreadyRunning, MongodError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
def api() -> None:
    """Run the HTTP API alone, on the MongoDB of MALLARD_MONGO_URI."""
    from gevent import monkey

    monkey.patch_all()
    settings = _settings(needs_database=True)
    if wants_metrics(settings):
        share_numbers(settings.state_dir / f"metrics-{settings.bind.replace('/', '_')}")
    from server.workers import Workers

    Workers(settings).run()


@main.group(invoke_without_command=True)
@click.pass_context
def jobs(context: click.Context) -> None:
    """Run background work alone, on the MongoDB of MALLARD_MONGO_URI."""
    if context.invoked_subcommand is None:
        from server.background import run_jobs

        run_jobs(_settings(needs_database=True))


@jobs.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with data and progress.")
def jobs_list(as_json: bool) -> None:
    """List the tasks that wait, run or have failed: id, kind, status, due time, progress, error."""
    from server.background import listing

    click.echo(listing(_settings(needs_database=True), as_json=as_json))


@jobs.command("retry")
@click.argument("task")
def jobs_retry(task: str) -> None:
    """Start the failed task with the id TASK again, where it stood."""
    from server.background import retry

    found = retry(_settings(needs_database=True), task)
    click.echo("Task started again" if found else "No failed task has this id", err=True)
    sys.exit(0 if found else 1)


@main.command()
def config() -> None:
    """Print every setting in force; secrets are masked."""
    from dataclasses import fields

    shown = _settings().shown()
    for setting in fields(Settings):
        value = shown[setting.name]
        text = " ".join(value) if isinstance(value, tuple) else str(value)
        click.echo(f"# {setting.metadata['help']}\nMALLARD_{setting.name.upper()}={text}\n")


@main.command()
def check() -> None:
    """Is all there that Mallard needs? Exit status 1 if something is not."""
    from server.checks import run_checks

    failed = False
    for result in run_checks(_settings()):
        click.echo(f"{'ok  ' if result.fine else 'FAIL'}  {result.what}: {result.detail}")
        failed = failed or not result.fine
    sys.exit(1 if failed else 0)


@main.command()
@click.option("--address", default="grace@example.com", show_default=True, help="Address of the account.")
def demo(address: str) -> None:
    """Make an account with a few real messages in the running server, and print the lines to look at it."""
    from server.demo import DemoError, make_demo

    try:
        click.echo(make_demo(_settings(), address))
    except DemoError as error:
        raise click.ClickException(str(error)) from error


@main.group()
def token() -> None:
    """Make, list and end the access tokens of programs."""


@token.command("provision")
@click.argument("user")
@click.argument("role")
def token_provision(user: str, role: str) -> None:
    """Make a token for USER, a name of your choice, with ROLE; it is printed once and stored hashed."""
    from server.tokens import RoleUnknown, provision

    try:
        text = provision(_settings(), user, role)
    except RoleUnknown as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Access token for {user} [{role}]:", err=True)
    click.echo(text)


@token.command("list")
@click.argument("user", required=False)
def token_list(user: str | None) -> None:
    """List the tokens of USER, or all: name, role, when they were made."""
    from server.tokens import listing

    for line in listing(_settings(), user):
        click.echo(line)


@token.command("delete")
@click.argument("text")
def token_delete(text: str) -> None:
    """End the token TEXT."""
    from server.tokens import delete

    found = delete(_settings(), text)
    click.echo("Token deleted" if found else "Token not found", err=True)
    sys.exit(0 if found else 1)


@token.command("clear")
@click.argument("user")
def token_clear(user: str) -> None:
    """End all tokens of USER, which may also be the id of an account."""
    from server.tokens import clear

    click.echo(f"{clear(_settings(), user)} tokens deleted", err=True)


def _settings(*, needs_database: bool = False) -> Settings:
    settings = Settings.load()
    logs.configure(settings.log_format, settings.log_level)
    if needs_database and not settings.mongo_uri:
        raise SettingsError("MALLARD_MONGO_URI is not set. `mallard serve` brings a database of its own.")
    return settings
