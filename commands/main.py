"""The command `mallard`: what commands there are, each imported when it is asked for.

So `mallard --help` and `mallard config` load neither the web framework nor the database driver.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from server.settings.table import SettingsError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "api": ("serve:api", "Run the HTTP API alone, on the MongoDB of MALLARD_MONGO_URI."),
    "audits": ("audits:audits", "Look at the audits of accounts, and at what was done with them by whom."),
    "check": (
        "check:check",
        "Check everything that Mallard needs, and say what to do about what is missing.",
    ),
    "config": ("config:config", "Print every setting in force; secrets are masked."),
    "demo": ("demo:demo", "Make an account with a few real messages in the running server."),
    "export": ("transfer:export_mail", "Write the mail of an account to a tar file of mbox and JSON."),
    "import": ("transfer:import_mail", "Bring mail from files or an IMAP server into an account."),
    "jobs": ("jobs:jobs", "Run background work alone, on the MongoDB of MALLARD_MONGO_URI."),
    "lmtp": ("serve:lmtp", "Take mail in by LMTP, on the MongoDB of MALLARD_MONGO_URI."),
    "queue": ("queue:queue", "Look at mail that waits to be sent; have it tried again, or removed."),
    "relay": ("serve:relay", "Send what is queued, on the MongoDB of MALLARD_MONGO_URI."),
    "secrets": (
        "secrets:secrets",
        "Look at the secrets at rest, and change the key they are encrypted with.",
    ),
    "serve": ("serve:serve", "Run everything that one machine needs: database, API, LMTP, relay, jobs."),
    "token": ("tokens:token", "Make, list and end the access tokens of programs."),
    "verify": ("verify:verify", "Look for stored names that are not as they are looked up; changes nothing."),
    "webhooks": ("webhooks:webhooks", "Look at webhooks and at the events that did not get through."),
}
"""Name → where the command stands (module of this package, function), and its line in the list of commands."""


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Called by click for the help and for completion."""
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Called by click for the command that was given."""
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"commands.{module}"), function)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Called by click for the list of commands, which imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, context: click.Context) -> Any:
        """Called by click; shows a wrong setting as a line of text and not as a traceback."""
        try:
            return super().invoke(context)
        except SettingsError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mallard")
def main() -> None:
    """Mallard, a mail-account server with one HTTP API.

    Set it up through the environment (MALLARD_…) or a TOML file that MALLARD_CONFIG names; `mallard config`
    shows every setting.
    """
