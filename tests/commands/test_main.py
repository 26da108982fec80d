"""The command `mallard`: what it lists, what it imports, and how it fails."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import Result

from commands.main import COMMANDS

Run = Callable[..., Result]

HEAVY = ["bson", "connexion", "flask", "gevent", "pymongo"]


def test_a_wrong_setting_is_one_line_and_no_traceback(run: Run) -> None:
    failed = run("config", MALLARD_WORKERS="many")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: MALLARD_WORKERS ")
    assert "Traceback" not in failed.output


def test_api_alone_needs_a_database(run: Run) -> None:
    failed = run("token", "list", MALLARD_MONGO_URI="")
    assert failed.exit_code == 1
    assert "Start `mallard serve` first" in failed.stderr


@pytest.mark.parametrize("words", [["--help"], ["config"]])
def test_help_and_config_load_no_framework_and_no_driver(words: list[str]) -> None:
    code = f"""
import sys
from commands.main import main
main({words}, standalone_mode=False)
print("loaded:", *(name for name in {HEAVY} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_the_list_of_commands_says_what_each_says_itself(run: Run) -> None:
    listed = run("--help").stdout
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z]", listed, re.M), name
        own = run(name, "--help")
        assert own.exit_code == 0, name
        assert f"Usage: main {name}" in own.stdout
