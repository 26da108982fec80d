"""`mallard token`: a token from its making to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from click.testing import Result

from security.roles import ROLES
from storage.store import Store

Run = Callable[..., Result]


def test_a_token_from_its_making_to_its_end(run: Run, make_app: Callable[..., Any], store: Store) -> None:
    made = run("token", "provision", "webmail", "manager")
    assert made.exit_code == 0
    assert made.stderr == "Access token for webmail [manager]:\n"
    text = made.stdout.strip()
    client = make_app(access_control=True).test_client()
    assert client.get("/users", headers={"X-Access-Token": text}).status_code == 200

    listed = run("token", "list").stdout
    assert listed.split()[1:3] == ["webmail", "manager"]
    assert text not in listed
    assert run("token", "list", "webmail").stdout == listed
    assert run("token", "list", "nobody").stdout == ""

    ended = run("token", "delete", text)
    assert (ended.exit_code, ended.stderr) == (0, "Token deleted\n")
    assert client.get("/users", headers={"X-Access-Token": text}).status_code == 403
    again = run("token", "delete", text)
    assert (again.exit_code, again.stderr) == (1, "Token not found\n")


def test_a_token_is_ended_by_the_id_that_the_list_shows(run: Run, store: Store) -> None:
    made = orjson.loads(run("token", "create", "panel", "manager", "--json").stdout)
    assert made == {"user": "panel", "role": "manager", "token": made["token"]}
    (row,) = orjson.loads(run("token", "list", "--json").stdout)
    assert row.keys() == {"id", "user", "role", "created"}
    assert run("token", "list").stdout.startswith(row["id"])
    run("token", "create", "other", "manager")
    ended = run("token", "revoke", row["id"], "--json")
    assert (ended.exit_code, orjson.loads(ended.stdout)) == (0, {"deleted": 1})
    assert [left["user"] for left in store.tokens.list()] == ["other"]
    again = run("token", "revoke", row["id"], "--json")
    assert (again.exit_code, orjson.loads(again.stdout)) == (1, {"deleted": 0})
    assert orjson.loads(run("token", "clear", "other", "--json").stdout) == {"deleted": 1}


def test_clear_ends_the_tokens_of_one_name(run: Run, store: Store) -> None:
    for user in ("a", "a", "b"):
        run("token", "provision", user, "root")
    assert run("token", "clear", "a").stderr == "2 tokens deleted\n"
    assert [row["user"] for row in store.tokens.list()] == ["b"]


def test_a_role_that_is_none(run: Run, store: Store) -> None:
    failed = run("token", "provision", "webmail", "Root")
    assert failed.exit_code == 1
    assert all(role in failed.stderr for role in ROLES)
    assert store.tokens.list() == []
