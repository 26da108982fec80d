"""HTML → text for previews and the text index, and text → HTML; for people and search, not for layout."""

from __future__ import annotations

import re
from html import escape, unescape

from selectolax.lexbor import LexborHTMLParser

_MOST_HTML = 2 * 1024 * 1024
_MOST_TAGS = 10_000
_UNSHOWN = ["script", "style", "head", "title", "template", "noscript", "svg", "math"]
_BLOCKS = "p, div, tr, li, h1, h2, h3, h4, h5, h6, blockquote, table, ul, ol, pre, hr, br, section, article"
_BLANKS = re.compile(r"[ \t\r\f\v\u00a0\u200b\u00ad\ufeff]+")
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")
_PARAGRAPHS = re.compile(r"\n{2,}")
_UNSHOWN_TAG = re.compile(r"<(/?)(script|style|head)\b[^<>]*>?", re.I)
_TAG = re.compile(r"<[^<>]*>")
_LEFT_TRIM = re.compile(r"\n[ \t]+")
_RIGHT_TRIM = re.compile(r"(?<![ \t])[ \t]+\n")


def html_to_text(html: str) -> str:
    """What a reader sees, blocks on lines of their own, links behind their text.

    The tree's work grows with the square of its depth, so markup with very many tags is only stripped of them.
    """
    html = html[:_MOST_HTML].replace("\0", "")
    if html.count("<") > _MOST_TAGS:
        return _tidy(unescape(_TAG.sub("\n", _without_unshown(html))))
    tree = LexborHTMLParser(html)
    tree.strip_tags(_UNSHOWN, recursive=True)
    for node in tree.css("a[href^=http]"):
        href = node.attributes.get("href") or ""
        if href and href not in node.text():
            node.insert_after(f" [{href}]")
    for node in tree.css("li"):
        node.insert_before("\n* ")
    for node in tree.css(_BLOCKS):
        node.insert_before("\n")
        node.insert_after("\n")
    body = tree.body or tree.root
    return _tidy(body.text(separator="") if body else "")


def _without_unshown(html: str) -> str:
    """Without what stands between the tags of scripts, styles and the head; one that is never closed stays."""
    parts: list[str] = []
    start, hidden = 0, ""
    for match in _UNSHOWN_TAG.finditer(html):
        name = match[2].lower()
        if not hidden and not match[1]:
            parts.append(html[start : match.start()])
            start, hidden = match.start(), name
        elif hidden == name and match[1]:
            start, hidden = match.end(), ""
    return "".join(parts) + html[start:]


def _tidy(text: str) -> str:
    text = _BLANKS.sub(" ", text)
    text = _RIGHT_TRIM.sub("\n", _LEFT_TRIM.sub("\n", text))
    return _EMPTY_LINES.sub("\n\n", text).strip()


def text_to_html(text: str) -> str:
    """Paragraphs at empty lines, `<br/>` at line ends, everything else escaped."""
    text = _RIGHT_TRIM.sub("\n", text.replace("\r\n", "\n").strip())
    paragraphs = _PARAGRAPHS.split(escape(text))
    return "\n".join(f"<p>{part.replace(chr(10), '<br/>')}</p>" for part in paragraphs if part)
