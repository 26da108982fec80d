"""`mallard config`: the settings in force."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from commands.shared import json_option, print_json, settings_in_force
from server.settings.table import Settings


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Print every setting in force; secrets are masked."""
    masked = settings_in_force().masked()
    if as_json:
        print_json({name: _plain(value) for name, value in masked.items()})
        return
    for setting in fields(Settings):
        value = masked[setting.name]
        text = " ".join(value) if isinstance(value, tuple) else str(value)
        click.echo(f"# {setting.metadata['help']}\nMALLARD_{setting.name.upper()}={text}\n")


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | str | tuple) else str(value)
