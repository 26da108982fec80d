"""`mallard check`: what it finds, and what it advises."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import Result

from storage.store import Store

Run = Callable[..., Result]


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
    monkeypatch.setattr("commands.check._SELECTION_MS", 200)
    monkeypatch.setattr("commands.check.shutil.which", lambda name: None)
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
    monkeypatch.setattr("commands.check._MOST_SECONDS_APART", -1)
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
