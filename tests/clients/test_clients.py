"""What other people's tools make of the document: a linter, and clients that do the main job with a server.

The commands are those of `docs/clients.md`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from server.contract.operations import PATH
from tests.clients.conftest import HERE, Site
from tests.clients.page import blocks, commands
from tests.flows.test_relay import wait_for

EXAMPLES = ("example.py", "example.ts", "openapi-python-client.yaml", "tsconfig.json")
TYPED = ("--strict", "--warn-unused-ignores", "--follow-imports=silent")

pytestmark = pytest.mark.timeout(240)


def run(command: list[str], folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """What a command says; it must succeed."""
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def copy(names: list[str], folder: Path) -> None:
    for name in names:
        shutil.copy(HERE / name, folder)


def mails_of(site: Site, sender: str) -> list[str]:
    return [mail.recipient for mail in site.smart_host.mails if mail.sender == sender]


def test_spectral_has_nothing_to_say(node_modules: Path) -> None:
    command = [str(node_modules / ".bin" / "spectral"), "lint", "--fail-severity=hint", PATH.name]
    assert "No results with a severity of 'hint' or higher found!" in run(command, PATH.parent)


def test_a_typescript_client(site: Site, node_modules: Path, tmp_path: Path) -> None:
    copy(["example.ts", "mistakes.ts", "tsconfig.json", "package.json"], tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)
    said = run(["sh", "-ec", commands("node example.js")], tmp_path, site.environ)
    generated, _, printed = said.partition("mailboxes:")
    assert [line[0] for line in generated.splitlines()] == ["✨", "🚀"], generated
    assert printed.splitlines() == [
        r" INBOX \Drafts \Junk \Sent \Trash",
        "unread: 1 Compilers",
        "read: Grace Dear Ada, they work.",
        "found: Compilers true true",
        "sent: true",
        "failed: This message does not exist",
    ]
    assert wait_for(lambda: mails_of(site, "ada@example.com")) == ["grace@example.org"]


def test_a_python_client(site: Site, tmp_path: Path) -> None:
    copy(["example.py", "mistakes.py", "openapi-python-client.yaml"], tmp_path)
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = run(["sh", "-ec", commands("python example.py")], tmp_path, {**site.environ, "PATH": tools})
    assert said.splitlines() == [
        "Generating mallard_client",
        r"mailboxes: INBOX \Drafts \Junk \Sent \Trash",
        "unread: 1 Compilers",
        "read: Ada Dear Grace, do they work?",
        "found: ('Compilers', True, True)",
        "sent: True",
        "failed: This message does not exist",
    ]
    assert wait_for(lambda: mails_of(site, "grace@example.com")) == ["ada@example.org"]
    run([sys.executable, "-m", "mypy", *TYPED, "example.py", "mistakes.py"], tmp_path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_shows_what_was_run(name: str) -> None:
    languages = {".py": "python", ".ts": "ts", ".yaml": "yaml", ".json": "json"}
    assert (HERE / name).read_text("utf-8") in blocks(languages[Path(name).suffix])


def test_the_lock_names_no_registry() -> None:
    """So that the tools come from whichever registry is set up where they are installed."""
    assert '"resolved"' not in (HERE / "package-lock.json").read_text("utf-8")
