"""The templates of pages: HTML, in which what is put in is escaped, and Markdown, in which it is put in as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_OPTIONS: dict[str, Any] = {
    "loader": FileSystemLoader(Path(__file__).with_name("templates")),
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
    "keep_trailing_newline": True,
}


def cell(text: str) -> str:
    """A text for a table of Markdown, where a bar would end it."""
    return " ".join(text.replace("|", "\\|").split())


HTML = Environment(autoescape=True, **_OPTIONS)
MARKDOWN = Environment(autoescape=False, **_OPTIONS)
MARKDOWN.filters["cell"] = cell
