"""The guides as web pages, under the paths that they have in the repository, so that the links between them hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from posixpath import dirname, join, normpath

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
HTML = Environment(
    autoescape=True,
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
"""The templates of pages; what is put in is escaped."""
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@cache
def files() -> Mapping[str, Path]:
    """What may be read, by its path: Markdown, and what it links to."""
    readable = [*ROOT.glob("*.md"), ROOT / "openapi.yaml", *(ROOT / "docs").rglob("*.*")]
    return {file.relative_to(ROOT).as_posix(): file for file in readable}


@cache
def page(name: str) -> str:
    """The guide of that path as HTML."""
    title, body = rendered(files()[name].read_text("utf-8"), name)
    root = "../" * (name.count("/") + 1)
    return HTML.get_template("guide.html").render(title=title, body=body, path=f"guides/{name}", root=root)


def rendered(markdown: str, name: str = "README.md") -> tuple[str, str]:
    """Title and HTML. HTML in the Markdown is shown and not obeyed."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    titles = [_anchored(tag, text) for tag, text in pairwise(tokens) if tag.type == "heading_open"]
    _unlink([part for token in tokens for part in token.children or ()], name)
    return (titles or [""])[0], parser.renderer.render(tokens, parser.options, {})


def _unlink(parts: Sequence[Token], name: str) -> None:
    """Make plain text of links to what is in the repository and not here."""
    for start, opening in enumerate(parts):
        if opening.type == "link_open" and not _leads_somewhere(str(opening.attrGet("href")), name):
            opening.tag, opening.attrs = "span", {}
            next(part for part in parts[start:] if part.type == "link_close").tag = "span"


def _leads_somewhere(link: str, name: str) -> bool:
    target = link.partition("#")[0]
    return "://" in link or not target or normpath(join(dirname(name), target)) in files()


def _anchored(tag: Token, text: Token) -> str:
    """Give a heading the id by which links know it; its text."""
    plain = "".join(part.content for part in text.children or ())
    tag.attrSet("id", anchor(plain))
    return plain


def anchor(heading: str) -> str:
    """The name of a heading in links, as forges make it."""
    return _NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-")
