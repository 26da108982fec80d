"""The guides as web pages, under the paths that they have in the repository, so that the links between them hold."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

from jinja2 import Template
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


class Guides:
    """What may be read: Markdown as pages, and the files that it links to as they are."""

    def __init__(self, template: Template) -> None:
        files = [*ROOT.glob("*.md"), ROOT / "openapi.yaml", *(ROOT / "docs").rglob("*.*")]
        self._files = {file.relative_to(ROOT).as_posix(): file for file in files}
        self._template = template
        self.page = cache(self._page)

    def file(self, name: str) -> Path | None:
        """The file of that path, if it is one of these."""
        return self._files.get(name)

    def _page(self, name: str) -> str | None:
        """A guide as HTML, if there is one of that path."""
        file = self.file(name)
        if not file or file.suffix != ".md":
            return None
        title, body = rendered(file.read_text("utf-8"))
        return self._template.render(
            title=title, body=body, path=f"guides/{name}", root="../" * (name.count("/") + 1)
        )


def rendered(markdown: str) -> tuple[str, str]:
    """Title and HTML. HTML in the Markdown is shown and not obeyed."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    titles = [_anchored(tag, text) for tag, text in pairwise(tokens) if tag.type == "heading_open"]
    return (titles or [""])[0], parser.renderer.render(tokens, parser.options, {})


def _anchored(tag: Token, text: Token) -> str:
    """Give a heading the id by which links know it; its text."""
    plain = "".join(part.content for part in text.children or ())
    tag.attrSet("id", anchor(plain))
    return plain


def anchor(heading: str) -> str:
    """The name of a heading in links, as forges make it."""
    return _NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-")
