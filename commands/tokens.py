"""`mallard token`: access tokens for programs, made and ended by the operator."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict

import click

from commands.shared import json_option, print_json, settings_in_force
from commands.stores import running_store
from security.roles import ROLES
from server.http.json import date_text

_ID_DIGITS = 12
_ID = re.compile(rf"[0-9a-f]{{{_ID_DIGITS}}}")


class Token(TypedDict):
    """A token as JSON."""

    id: str
    """The start of its hash."""
    user: str
    role: str
    created: datetime
    expires: NotRequired[datetime]
    """Absent for a token that never ends by itself."""


@click.group()
def token() -> None:
    """Make, list and end the access tokens of programs."""


@token.command("provision")
@click.argument("user")
@click.argument("role")
@json_option
def token_provision(user: str, role: str, as_json: bool) -> None:
    """Make a token for USER, a name of your choice, with ROLE; it is printed once and stored hashed."""
    settings = settings_in_force()
    if role not in ROLES:
        raise click.ClickException(f"There is no role {role}. Roles: {', '.join(sorted(ROLES))}")
    with running_store(settings) as store:
        text = store.tokens.provision(user, role, secret=settings.secret)
    if as_json:
        print_json({"user": user, "role": role, "token": text})
        return
    click.echo(f"Access token for {user} [{role}]:", err=True)
    click.echo(text)


@token.command("list")
@click.argument("user", required=False)
@json_option
def token_list(user: str | None, as_json: bool) -> None:
    """List the tokens of USER, or all: id, name, role, when they were made."""
    with running_store(settings_in_force()) as store:
        tokens = [_token(row) for row in store.tokens.list(user)]
    if as_json:
        print_json(tokens)
        return
    for one in tokens:
        click.echo(f"{one['id']}  {one['user']:<26}{one['role']:<12}{date_text(one['created'])}")


def _token(row: Mapping[str, Any]) -> Token:
    shown: Token = {
        "id": str(row["_id"])[:_ID_DIGITS],
        "user": row["user"],
        "role": row["role"],
        "created": row["created"],
    }
    if row.get("expires"):
        shown["expires"] = row["expires"]
    return shown


@token.command("delete")
@click.argument("token_or_id")
@json_option
def token_delete(token_or_id: str, as_json: bool) -> None:
    """End a token, given its text or the id that `list` shows. Exit status 1 if there is none."""
    with running_store(settings_in_force()) as store:
        by_id = _ID.fullmatch(token_or_id)
        was_there = (store.tokens.delete_short if by_id else store.tokens.delete_text)(token_or_id)
    if as_json:
        print_json({"deleted": int(was_there)})
    else:
        click.echo("Token deleted" if was_there else "Token not found", err=True)
    sys.exit(0 if was_there else 1)


@token.command("clear")
@click.argument("user")
@json_option
def token_clear(user: str, as_json: bool) -> None:
    """End all tokens of USER, which may also be the id of an account."""
    with running_store(settings_in_force()) as store:
        count = store.tokens.clear(user)
    if as_json:
        print_json({"deleted": count})
    else:
        click.echo(f"{count} tokens deleted", err=True)


token.add_command(token_provision, "create")
token.add_command(token_delete, "revoke")
