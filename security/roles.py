"""The roles: which resource each may create, read, update and delete, and which fields of it.

The letters C R U D stand for any account's things, the role `user` has its own only. No role inherits from
another, and one that does not name a resource has no right on it. Fields are top-level fields: `!name`
takes one away, a plain name keeps it, `*` keeps all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Attributes = tuple[str, ...]

_ALL: Attributes = ("*",)
_ACTIONS = {"C": "create", "R": "read", "U": "update", "D": "delete"}
_NO_INTERNAL: Attributes = ("*", "!internalData")
_NO_STAFF_FIELDS: Attributes = ("*", "!tags", "!disabledScopes", "!internalData")
_NO_TOKEN: Attributes = ("*", "!token")
_OWN_ACCOUNT: Attributes = (
    "user", "existingPassword", "password", "allowUnsafe", "language", "name", "targets", "mtaRelay", "spamLevel",
    "uploadSentMessages", "metaData", "pubKey", "smimeCerts", "smimeCipher", "smimeKeyTransport", "encryptMessages",
    "encryptForwarded", "retention", "disable2fa", "protocol", "sess", "ip",
)  # fmt: skip

_GRANTS: Mapping[str, Mapping[str, str]] = {
    "root": {
        "addresslisting": "R", "addresses": "CRUD", "authentication": "CR", "userlisting": "R", "users": "CRUD",
        "asps": "CRD", "messages": "CRUD", "attachments": "CRUD", "storage": "CRUD", "mailboxes": "CRUD",
        "autoreplies": "CRUD", "filters": "CRUD", "certs": "CRUD", "dkim": "CRUD", "domainaccess": "CRUD",
        "domainaliases": "CRUD", "webhooks": "CRUD", "settings": "CRUD", "audit": "CRUD",
    },
    "manager": {
        "addresslisting": "R", "addresses": "CRUD", "authentication": "CR", "userlisting": "R", "users": "CRUD",
        "asps": "CRD", "autoreplies": "CRUD", "filters": "CRUD", "certs": "CRUD", "dkim": "CRUD",
        "domainaccess": "CRUD", "domainaliases": "CRUD", "webhooks": "CRUD",
    },
    "webmail": {
        "addresses": "CRUD", "authentication": "CR", "users": "RU", "asps": "CRD", "messages": "CRUD",
        "attachments": "CRUD", "storage": "CRUD", "mailboxes": "CRUD", "autoreplies": "CRUD", "filters": "CRUD",
        "domainaccess": "CRUD", "webhooks": "CRUD",
    },
    "user": {
        "addresslisting": "R", "addresses": "CRUD", "authentication": "CR", "userlisting": "R", "users": "RU",
        "asps": "CRD", "messages": "CRUD", "attachments": "CRUD", "storage": "CRUD", "mailboxes": "CRUD",
        "autoreplies": "CRUD", "filters": "CRUD", "webhooks": "R",
    },
    "auth": {"authentication": "C"},
    "tokenAuth": {"authentication": "C"},
    "attachments": {"attachments": "R"},
    "audit": {"users": "R", "audit": "CRUD"},
    "auditclient": {"audit": "R"},
    "export": {"export": "C", "import": "C"},
    "settings": {"settings": "CRUD"},
    "downloader": {"messages": "R"},
}  # fmt: skip

_ATTRIBUTES: Mapping[tuple[str, str, str], Attributes] = {
    ("auth", "authentication", "create"): _NO_TOKEN,
    ("user", "addresslisting", "read"): _NO_INTERNAL,
    ("user", "addresses", "create"): _NO_INTERNAL,
    ("user", "addresses", "read"): _NO_INTERNAL,
    ("user", "addresses", "update"): _NO_INTERNAL,
    ("user", "userlisting", "read"): _NO_STAFF_FIELDS,
    ("user", "users", "read"): _NO_STAFF_FIELDS,
    ("user", "users", "update"): _OWN_ACCOUNT,
}
_OWN_ONLY = frozenset({"user"})
_FOR_OTHERS = frozenset({"root", "manager", "webmail", "auth", "tokenAuth"})

ROLES: frozenset[str] = frozenset(_GRANTS)


def permits(role: str, resource: str, action: str, *, own: bool) -> Attributes | None:
    """The fields that a role may send or see, None where it has no right. A right on any thing covers own ones."""
    letters = _GRANTS.get(role, {}).get(resource, "")
    if action not in {_ACTIONS[letter] for letter in letters} or (role in _OWN_ONLY and not own):
        return None
    return _ATTRIBUTES.get((role, resource, action), _ALL)


def speaks_for_others(role: str) -> bool:
    """Return whether a role belongs to programs that people log in through, whose `ip` is trusted."""
    return role in _FOR_OTHERS


def filter_attributes(attributes: Attributes | None, document: Mapping[str, Any]) -> dict[str, object]:
    """The top-level fields of `document` that the attributes keep."""
    if attributes is None or attributes == _ALL:
        return dict(document)
    if "*" in attributes:
        return {name: value for name, value in document.items() if f"!{name}" not in attributes}
    return {name: value for name, value in document.items() if name in attributes}
