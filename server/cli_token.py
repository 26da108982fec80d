"""The commands `mallard token …`."""

from __future__ import annotations

import sys
from typing import Any

import click

from server.cli_settings import settings_in_force

_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def token() -> None:
    """Make, list and end the access tokens of programs."""


@token.command("provision")
@click.argument("user")
@click.argument("role")
@_json
def token_provision(user: str, role: str, as_json: bool) -> None:
    """Make a token for USER, a name of your choice, with ROLE; it is printed once and stored hashed."""
    from server.tokens import RoleUnknown, provision

    try:
        text = provision(settings_in_force(), user, role)
    except RoleUnknown as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        _print_json({"user": user, "role": role, "token": text})
        return
    click.echo(f"Access token for {user} [{role}]:", err=True)
    click.echo(text)


@token.command("list")
@click.argument("user", required=False)
@_json
def token_list(user: str | None, as_json: bool) -> None:
    """List the tokens of USER, or all: id, name, role, when they were made."""
    from server.tokens import line, listing

    rows = listing(settings_in_force(), user)
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        click.echo(line(row))


@token.command("delete")
@click.argument("token_or_id")
@_json
def token_delete(token_or_id: str, as_json: bool) -> None:
    """End a token, given its text or the id that `list` shows. Exit status 1 if there is none."""
    from server.tokens import delete

    found = delete(settings_in_force(), token_or_id)
    if as_json:
        _print_json({"deleted": int(found)})
    else:
        click.echo("Token deleted" if found else "Token not found", err=True)
    sys.exit(0 if found else 1)


@token.command("clear")
@click.argument("user")
@_json
def token_clear(user: str, as_json: bool) -> None:
    """End all tokens of USER, which may also be the id of an account."""
    from server.tokens import clear

    count = clear(settings_in_force(), user)
    if as_json:
        _print_json({"deleted": count})
    else:
        click.echo(f"{count} tokens deleted", err=True)


token.add_command(token_provision, "create")
token.add_command(token_delete, "revoke")


def _print_json(value: Any) -> None:
    from server.http.json import dumps

    click.echo(dumps(value).decode(), nl=False)
