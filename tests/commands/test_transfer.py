"""`mallard import` and `export` as an operator types them: what they print, as text and as JSON, and how they fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result

from tests.transfer.conftest import message
from tests.transfer.imapserver import Box, Mail, serving

Run = Callable[..., Result]


@pytest.fixture
def mbox(tmp_path: Path) -> Path:
    """Two messages."""
    path = tmp_path / "two.mbox"
    separator = b"From grace@example.com Thu Feb  1 09:20:30 2024\n"
    path.write_bytes(b"".join(separator + message(n, newline="\n") + b"\n" for n in (1, 2)))
    return path


def test_there_and_back(run: Run, mbox: Path, make_user: Callable[..., Any], tmp_path: Path) -> None:
    ada, _bob = make_user("ada"), make_user("bob")
    first = run("import", "ada@example.com", str(mbox), "--folder", "Old")
    size = len(message(1)) + len(message(2))
    assert first.exit_code == 0, first.output
    assert first.stdout == f"2 messages stored ({size} bytes), 0 were there already, 0 refused, 1 folders\n"
    out = run("export", str(ada), str(tmp_path / "ada.tar"), "--json")
    assert orjson.loads(out.stdout) == {"folders": 6, "messages": 2, "bytes": size}
    assert oct((tmp_path / "ada.tar").stat().st_mode & 0o777) == "0o600"
    back = run("import", "bob", str(tmp_path / "ada.tar"), "--json")
    assert orjson.loads(back.stdout) == {
        "folders": 6, "stored": 2, "duplicates": 0, "refused": 0, "bytes": size, "problems": [],
    }  # fmt: skip
    again = run("import", "bob", str(tmp_path / "ada.tar"), "--again", "--json")
    assert orjson.loads(again.stdout)["duplicates"] == 2


def test_an_export_to_standard_output_is_nothing_but_the_archive(
    run: Run, mbox: Path, make_user: Callable[..., Any], tmp_path: Path
) -> None:
    make_user("ada")
    run("import", "ada", str(mbox))
    out = run("export", "ada", "-", "--json")
    (tmp_path / "copy.tar").write_bytes(out.stdout_bytes)
    make_user("bob")
    assert orjson.loads(run("import", "bob", str(tmp_path / "copy.tar"), "--json").stdout)["stored"] == 2
    assert orjson.loads(out.stderr)["messages"] == 2


def test_what_was_refused_is_listed_and_told_by_the_exit_status(
    run: Run, make_user: Callable[..., Any], tmp_path: Path
) -> None:
    make_user("ada")
    (tmp_path / "mbox").write_bytes(
        b"From a Thu Feb  1 09:20:30 2024\n\n\nFrom b Thu Feb  1 09:20:30 2024\nA: b\n\n"
    )
    told = run("import", "ada", str(tmp_path / "mbox"))
    assert told.exit_code == 1
    assert told.stdout.startswith("1 messages stored")
    assert "refused: INBOX" in told.stderr
    assert "EmptyMessage" in told.stderr


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("/nowhere/at/all", "There is no /nowhere/at/all"),
        ("pop3://ada@example.com", "imaps://user@host"),
        ("imaps://ada:hush@example.com", "Leave the password out"),
        ("imaps://example.com", "imaps://user@host"),
    ],
)
def test_sources_that_are_none(run: Run, make_user: Callable[..., Any], source: str, text: str) -> None:
    make_user("ada")
    failed = run("import", "ada", source, MALLARD_IMPORT_PASSWORD="x")
    assert (failed.exit_code, "Traceback" in failed.output) == (1, False)
    assert text in failed.stderr
    assert "hush" not in failed.stderr


def test_an_account_that_is_none(run: Run, mbox: Path, tmp_path: Path) -> None:
    for words in (("import", "nobody", str(mbox)), ("export", "0" * 24, str(tmp_path / "x.tar"))):
        failed = run(*words)
        assert failed.exit_code == 1
        assert "There is no account" in failed.stderr
    assert not (tmp_path / "x.tar").exists()


def test_an_imap_account_with_its_password_from_the_environment(
    run: Run, make_user: Callable[..., Any]
) -> None:
    make_user("ada")
    with serving({"INBOX": Box([Mail(1, message(1))])}) as server:
        done = run("import", "ada", server.url, "--json", MALLARD_IMPORT_PASSWORD="secret")
        assert orjson.loads(done.stdout)["stored"] == 1
        failed = run("import", "ada", server.url, MALLARD_IMPORT_PASSWORD="other")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: IMAP: ")
