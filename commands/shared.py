"""What commands share: the settings with logging set up, and JSON as output."""

from __future__ import annotations

import click

from server.processes import logging as logs
from server.settings.loading import load_settings
from server.settings.table import Settings, SettingsError

json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def settings_in_force(*, needs_database: bool = False) -> Settings:
    """Return the settings, with logging set up by them. Raises SettingsError."""
    settings = load_settings()
    logs.configure(settings.log_format, settings.log_level)
    if needs_database and not settings.mongo_uri:
        raise SettingsError("MALLARD_MONGO_URI is not set. `mallard serve` brings a database of its own.")
    return settings


def print_json(value: object, *, err: bool = False) -> None:
    """Print as the API writes JSON; `err` for the error output."""
    from server.http.json import (
        dumps,  # with the database driver's types, which `mallard config` does without
    )

    click.echo(dumps(value).decode(), nl=False, err=err)
