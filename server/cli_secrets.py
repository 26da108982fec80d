"""`mallard secrets`: the keys that secrets at rest are encrypted with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from server.cli_settings import settings_in_force

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.rotation import Tally


@click.group()
def secrets() -> None:
    """Look at the secrets at rest (TOTP seeds, private keys), and change the key they are encrypted with."""


@secrets.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def secrets_list(as_json: bool) -> None:
    """Count the secrets under the present key, an older one, in clear; exit status 1 if one cannot be read."""
    from server.secretkeys import is_fine, look

    tallies = look(settings_in_force())
    _print(tallies, as_json=as_json)
    sys.exit(0 if is_fine(tallies) else 1)


@secrets.command("rotate")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def secrets_rotate(as_json: bool) -> None:
    """Encrypt all secrets with the present key; exit status 1 if one is left that is not.

    First set MALLARD_ENCRYPTION_SECRET to the new key and move the old one to MALLARD_ENCRYPTION_OLD_SECRETS, and
    start all processes again. The command may be broken off and run again at any time, while everything runs. Once
    it was successful, the old key can go.
    """
    from server.secretkeys import is_whole, renew

    tallies = renew(settings_in_force())
    _print(tallies, as_json=as_json)
    sys.exit(0 if is_whole(tallies) else 1)


def _print(tallies: Sequence[Tally], *, as_json: bool) -> None:
    from server.http.json import dumps
    from server.secretkeys import as_rows, as_table

    click.echo(dumps(as_rows(tallies)).decode() if as_json else "\n".join(as_table(tallies)))
