"""What `mallard token` does: access tokens for programs, made and ended by the operator."""

from __future__ import annotations

import re

from security.roles import ROLES
from server.http.json import date_text
from server.running import running_store
from server.settings.table import Settings
from storage.base.database import Document

_ID_DIGITS = 12
_ID = re.compile(rf"[0-9a-f]{{{_ID_DIGITS}}}")


class RoleUnknown(Exception):
    """There is no such role; the text lists those there are."""


def provision(settings: Settings, user: str, role: str) -> str:
    """Make a token that never ends by itself, and return its text. Raises RoleUnknown."""
    if role not in ROLES:
        raise RoleUnknown(f"There is no role {role}. Roles: {', '.join(sorted(ROLES))}")
    with running_store(settings) as store:
        return store.tokens.provision(user, role, secret=settings.secret)


def listing(settings: Settings, user: str | None) -> list[Document]:
    """`{id, user, role, created}` of each token; the id is the start of its hash."""
    with running_store(settings) as store:
        return [
            {
                "id": str(row["_id"])[:_ID_DIGITS],
                "user": row["user"],
                "role": row["role"],
                "created": row["created"],
                **({"expires": row["expires"]} if row.get("expires") else {}),
            }
            for row in store.tokens.list(user)
        ]


def line(row: Document) -> str:
    """A token for people to read."""
    return f"{row['id']}  {row['user']:<26}{row['role']:<12}{date_text(row['created'])}"


def delete(settings: Settings, text_or_id: str) -> bool:
    """End one token, given its text or the id of the listing; whether there was one."""
    with running_store(settings) as store:
        if _ID.fullmatch(text_or_id):
            return store.tokens.delete_short(text_or_id)
        return store.tokens.delete_text(text_or_id)


def clear(settings: Settings, user: str) -> int:
    """End all tokens of a name or account id; how many there were."""
    with running_store(settings) as store:
        return store.tokens.clear(user)
