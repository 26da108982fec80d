"""No test asks a server that does not check its answers against the contract."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
STARTS_SERVER = re.compile(r'"commands", "(serve|api)"')
MAKES_APP = re.compile(r"\bcreate_app\(")


def unchecked(text: str) -> Iterator[str]:
    """What in the text of a test makes a server, or settings of one, without the check."""
    if STARTS_SERVER.search(text) and "MALLARD_VALIDATE_RESPONSES" not in text:
        yield "a command without MALLARD_VALIDATE_RESPONSES"
    calls = ast.walk(ast.parse(text)) if MAKES_APP.search(text) else ()
    for call in calls:
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Settings":
            written = ast.unparse(call)
            yield from () if "validate_responses=True" in written else (written,)


def test_every_answer_is_checked() -> None:
    files = [path for path in TESTS.rglob("*.py") if path != Path(__file__)]
    found = {str(path): list(unchecked(path.read_text("utf-8"))) for path in files}
    assert {path: what for path, what in found.items() if what} == {}


def test_one_without_the_check_is_found() -> None:
    made = 'app = create_app(Settings(log_level="error"), store)'
    assert list(unchecked(made)) == ["Settings(log_level='error')"]
    assert list(unchecked(made.replace("log_level", "validate_responses=True, log_level"))) == []
    assert list(unchecked('Popen([python, "-m", "commands", "serve"])')) != []
