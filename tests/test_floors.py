"""A file imports from its own floor or a lower one, never from a higher one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOWER = {"mail", "network", "security", "storage", "problems"}
MAY_IMPORT = {
    "commands": {"commands", "server", "transfer", "delivery", "jobs", *LOWER},
    "server": {"server", "handlers", "accounts", "updates", "delivery", "jobs", *LOWER},
    "handlers": {"handlers", "accounts", "updates", "delivery", "jobs", *LOWER},
    "transfer": {"transfer", "mail", "security", "storage", "problems"},
    "updates": {"updates", "mail", "security", "storage", "problems"},
    "accounts": {"accounts", *LOWER},
    "delivery": {"delivery", "jobs", *LOWER},
    "jobs": {"jobs", *LOWER},
    "mail": {"mail", "problems"},
    "network": {"network", "security", "problems"},
    "security": {"security", "mail", "problems"},
    "storage": {"storage", "mail", "security", "problems"},
}
FILES = [file for floor in MAY_IMPORT for file in sorted((ROOT / floor).rglob("*.py"))]


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_looks_up(file: Path) -> None:
    floor = file.relative_to(ROOT).parts[0]
    assert set(imported(file)) & MAY_IMPORT.keys() <= MAY_IMPORT[floor]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_database_is_known_to_storage_alone(file: Path) -> None:
    floor = file.relative_to(ROOT).parts[0]
    allowed = floor in ("storage", "server", "commands")
    assert allowed or not {"pymongo", "gridfs"} & set(imported(file))
