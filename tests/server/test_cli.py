"""The command `mallard`: what it prints, what it changes, and how it fails."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result

from security.roles import ROLES
from server.settings.table import Settings
from storage.store import Store

Run = Callable[..., Result]


def test_config_shows_every_setting_and_no_secret(run: Run) -> None:
    shown = run("config", MALLARD_TOKEN="hush", MALLARD_CORS_ORIGINS="https://a.test https://b.test")
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    for name in Settings.__dataclass_fields__:
        assert any(line.startswith(f"MALLARD_{name.upper()}=") for line in lines), name
    assert "MALLARD_TOKEN=***" in lines
    assert "MALLARD_MONGO_URI=***" in lines
    assert "MALLARD_CORS_ORIGINS=https://a.test https://b.test" in lines
    assert "hush" not in shown.stdout


def test_a_wrong_setting_is_one_line_and_no_traceback(run: Run) -> None:
    failed = run("config", MALLARD_WORKERS="many")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: MALLARD_WORKERS ")
    assert "Traceback" not in failed.output


def test_lmtp_says_why_it_can_not_listen(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        failed = run("lmtp", MALLARD_LMTP_BIND=bind)
    assert (failed.exit_code, failed.stderr.count("\n")) == (1, 1)
    assert failed.stderr.startswith(f"Error: MALLARD_LMTP_BIND is {bind}: ")


def test_api_alone_needs_a_database(run: Run) -> None:
    failed = run("token", "list", MALLARD_MONGO_URI="")
    assert failed.exit_code == 1
    assert "Start `mallard serve` first" in failed.stderr


def test_check_finds_all_that_is_needed(run: Run) -> None:
    checked = run("check")
    assert checked.exit_code == 0, checked.output
    assert "ok    contract: 106 operations" in checked.stdout
    assert "replica set, database test" in checked.stdout
    assert "open to everyone on 127.0.0.1:8080" in checked.stdout


def test_check_looks_at_the_database_of_its_own(run: Run, tmp_path: Path) -> None:
    checked = run("check", MALLARD_MONGO_URI="", MALLARD_ACCESS_CONTROL="on")
    assert checked.exit_code == 0, checked.output
    assert f"own mongod ({tmp_path}" not in checked.stdout
    assert f"data in {tmp_path}/state" in checked.stdout
    assert "open to everyone" not in checked.stdout


def test_check_says_what_is_missing_and_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.checks._SELECTION_MS", 200)
    monkeypatch.setattr("server.checks.shutil.which", lambda name: None)
    checked = run("check", MALLARD_MONGO_URI="mongodb://127.0.0.1:1")
    assert checked.exit_code == 1
    assert "FAIL  database: MALLARD_MONGO_URI does not answer" in checked.stdout
    assert "FAIL  gpg: not found" in checked.stdout


def test_check_says_what_to_do_and_speaks_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = run("check", "--json", MALLARD_ACCESS_CONTROL="on")
    assert checked.exit_code == 0, checked.output
    told = orjson.loads(checked.stdout)
    assert told["fine"] is True
    by_name = {row["what"]: row for row in told["checks"]}
    assert by_name.keys() == {
        "contract", "database", "clock", "rights", "indexes", "address", "gpg", "files", "access", "secrets",
    }  # fmt: skip
    assert by_name["access"]["advice"] == "Set MALLARD_SECRET to a random text"
    monkeypatch.setattr("server.checks._MOST_SECONDS_APART", -1)
    failed = run("check")
    assert failed.exit_code == 1
    assert "FAIL  clock: " in failed.stdout
    assert "run NTP on both machines" in failed.stdout


def test_check_finds_missing_indexes_and_makes_none(run: Run, store: Store) -> None:
    row = orjson.loads(run("check", "--json", MALLARD_DATABASE="test_unused").stdout)["checks"][4]
    assert row["what"] == "indexes"
    assert "missing" in row["detail"]
    assert "mallard jobs" in row["advice"]
    names = store.databases.client.list_database_names()
    left = store.databases.client["test_unused"].list_collection_names() if "test_unused" in names else []
    store.databases.client.drop_database("test_unused")
    assert left == ["health"], "only what the write probe left empty"


def test_check_finds_an_address_that_another_program_has(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        checked = run("check", MALLARD_BIND=bind)
    assert checked.exit_code == 1
    assert f"FAIL  address: {bind}: Address already in use" in checked.stdout
    assert "or set MALLARD_BIND" in checked.stdout


def test_check_knows_its_own(run: Run, address: str) -> None:
    assert f"Mallard answers on {address}" in run("check", MALLARD_BIND=address).stdout


def test_config_speaks_json(run: Run) -> None:
    shown = orjson.loads(run("config", "--json", MALLARD_TOKEN="hush", MALLARD_WORKERS="2").stdout)
    assert shown.keys() == Settings.__dataclass_fields__.keys()
    assert (shown["token"], shown["workers"], shown["access_control"]) == ("***", 2, False)


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


def test_the_demo_needs_a_server(run: Run) -> None:
    failed = run("demo", MALLARD_BIND="127.0.0.1:1")
    assert failed.exit_code == 1
    assert "http://127.0.0.1:1 does not answer" in failed.stderr
    assert "Start `mallard serve` first" in failed.stderr


@pytest.fixture
def address(make_app: Callable[..., Any]) -> Any:
    """Where the app is served for the test."""
    from threading import Thread

    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, make_app(token="static"), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_demo_makes_an_account_with_three_messages(run: Run, address: str, make_app: Any) -> None:
    made = run("demo", "--address", "ada@example.com", MALLARD_BIND=address, MALLARD_TOKEN="static")
    assert made.exit_code == 0, made.output
    assert "An account with three messages: ada@example.com, password " in made.stdout
    assert 'curl -s -H "X-Access-Token: $MALLARD_TOKEN"' in made.stdout
    assert "static" not in made.stdout
    client = make_app().test_client()
    inbox = next(line.split()[-1] for line in made.stdout.splitlines() if line.startswith("The inbox"))
    listing = client.get(inbox.removeprefix(f"http://{address}")).json
    assert [row["subject"] for row in listing["results"]] == [
        "Re: Minutes of Tuesday", "Minutes of Tuesday", "Welcome aboard ⚓",
    ]  # fmt: skip
    attachment = next(
        line.split()[-1] for line in made.stdout.splitlines() if line.startswith("Its attachment")
    )
    assert client.get(attachment.removeprefix(f"http://{address}")).data.startswith(b"name,ship")

    twice = run("demo", "--address", "ada@example.com", MALLARD_BIND=address, MALLARD_TOKEN="static")
    assert twice.exit_code == 1
    assert twice.stderr.endswith("Error: POST /users: This username already exists\n")


def test_secrets_are_counted_and_put_under_a_key(run: Run, store: Store) -> None:
    store.databases.main["dkim"].insert_one({"domain": "example.com", "privateKey": "a private key"})
    refused = run("secrets", "rotate")
    assert (refused.exit_code, "MALLARD_ENCRYPTION_SECRET" in refused.stderr) == (1, True)
    keys = {"MALLARD_ENCRYPTION_SECRET": "a new cat"}
    assert json.loads(run("secrets", "list", "--json", **keys).stdout)[2] == {
        "kind": "DKIM keys", "hasKey": True, "current": 0, "outdated": 0, "clear": 1, "unreadable": 0, "changed": 0,
        "unreadableIds": [],
    }  # fmt: skip
    done = run("secrets", "rotate", **keys)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[3].split() == ["DKIM", "keys", "1", "0", "0", "0", "1"]
    row = store.databases.main["dkim"].find_one({})
    assert row
    assert row["privateKey"].startswith("$wd01$")
    lost = run("secrets", "list", MALLARD_ENCRYPTION_SECRET="another cat")
    assert lost.exit_code == 1
    assert f"cannot be read: DKIM keys, {row['_id']}.privateKey" in lost.stdout
    assert run("secrets", "rotate", MALLARD_ENCRYPTION_SECRET="another cat").exit_code == 1
