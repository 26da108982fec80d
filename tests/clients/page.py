"""`docs/clients.md`: what it shows, and the commands that it gives."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clients.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The contents of the blocks that are marked with a language."""
    return [text for name, text in _BLOCK.findall(PAGE.read_text("utf-8")) if name == language]


def commands(program: str) -> str:
    """The block of commands that ends with running a program."""
    (found,) = (text for text in blocks("sh") if text.rstrip().endswith(program))
    return found
