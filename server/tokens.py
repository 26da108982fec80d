"""What `mallard token` does: access tokens for programs, made and ended by the operator."""

from __future__ import annotations

from collections.abc import Iterator

from security.roles import ROLES
from server.json import date_text
from server.running import running_store
from server.settings import Settings


class RoleUnknown(Exception):
    """There is no such role; the text lists those there are."""


def provision(settings: Settings, user: str, role: str) -> str:
    """Make a token that never ends by itself, and return its text. Raises RoleUnknown."""
    if role not in ROLES:
        raise RoleUnknown(f"There is no role {role}. Roles: {', '.join(sorted(ROLES))}")
    with running_store(settings) as store:
        return store.tokens.provision(user, role, secret=settings.secret)


def listing(settings: Settings, user: str | None) -> Iterator[str]:
    """A line for each token: the start of its hash, its user, role, and when it was made."""
    with running_store(settings) as store:
        for record in store.tokens.list(user):
            made = date_text(record["created"])
            yield f"{str(record['_id'])[:12]}  {record['user']:<26}{record['role']:<12}{made}"


def delete(settings: Settings, text: str) -> bool:
    """End one token; whether there was one."""
    with running_store(settings) as store:
        return store.tokens.delete_text(text)


def clear(settings: Settings, user: str) -> int:
    """End all tokens of a name or account id; how many there were."""
    with running_store(settings) as store:
        return store.tokens.clear(user)
