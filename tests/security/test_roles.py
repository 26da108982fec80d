"""The role table."""

from __future__ import annotations

import pytest

from security.roles import ROLES, filter_attributes, permits

ACTIONS = ("create", "read", "update", "delete")


def letters(role: str, resource: str, *, own: bool) -> str:
    """The rights of a role, as the table writes them."""
    return "".join(action[0].upper() for action in ACTIONS if permits(role, resource, action, own=own))


@pytest.mark.parametrize(
    ("role", "resource", "expected"),
    [
        ("root", "users", "CRUD"),
        ("root", "asps", "CRD"),
        ("root", "audit", "CRUD"),
        ("root", "export", ""),
        ("manager", "messages", ""),
        ("manager", "settings", ""),
        ("webmail", "users", "RU"),
        ("webmail", "userlisting", ""),
        ("auth", "authentication", "C"),
        ("tokenAuth", "authentication", "C"),
        ("attachments", "attachments", "R"),
        ("audit", "audit", "CRUD"),
        ("audit", "users", "R"),
        ("auditclient", "audit", "R"),
        ("export", "export", "C"),
        ("export", "import", "C"),
        ("settings", "settings", "CRUD"),
        ("downloader", "messages", "R"),
        ("nobody", "users", ""),
        ("root", "nothing", ""),
    ],
)
def test_rights_on_any_account_are_rights_on_the_own(role: str, resource: str, expected: str) -> None:
    assert letters(role, resource, own=False) == letters(role, resource, own=True) == expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("users", "RU"),
        ("messages", "CRUD"),
        ("webhooks", "R"),
        ("authentication", "CR"),
        ("settings", ""),
        ("dkim", ""),
    ],
)
def test_a_user_has_rights_on_the_own_account_alone(resource: str, expected: str) -> None:
    assert letters("user", resource, own=True) == expected
    assert letters("user", resource, own=False) == ""


def test_all_roles_are_known() -> None:
    assert {
        "root", "manager", "webmail", "user", "auth", "tokenAuth", "attachments", "audit", "auditclient", "export",
        "settings", "downloader",
    } == ROLES  # fmt: skip


def test_a_user_cannot_raise_its_own_limits() -> None:
    attributes = permits("user", "users", "update", own=True)
    sent = {
        "name": "x",
        "quota": 10**12,
        "tags": [],
        "internalData": {},
        "disabledScopes": [],
        "hashedPassword": True,
    }
    assert filter_attributes(attributes, sent) == {"name": "x"}


def test_a_user_does_not_see_what_staff_keeps() -> None:
    shown = {"id": 1, "tags": [], "internalData": {}, "disabledScopes": [], "metaData": {"internalData": 1}}
    assert filter_attributes(permits("user", "users", "read", own=True), shown) == {
        "id": 1,
        "metaData": {"internalData": 1},
    }
    assert filter_attributes(permits("root", "users", "read", own=False), shown) == shown


def test_the_role_auth_gets_no_token() -> None:
    attributes = permits("auth", "authentication", "create", own=False)
    assert filter_attributes(attributes, {"username": "a", "token": True}) == {"username": "a"}
