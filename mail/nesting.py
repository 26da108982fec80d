"""Whether markup is small or regular enough to build a tree of it.

HTML parsers repair any nesting, but their work grows with the square of the depth that they repair to: 640 KiB can
keep one busy for minutes. Up to some thousand tags that does not matter. Above, only markup whose tags are closed in
order, which cannot become deeper than it looks, is worth a tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_TAGS = 5000
DEEPEST = 250

_BLANK = r"[\t\n\f\r ]"
_VALUE = r"(?:\"[^\"<>]*+\"|'[^'<>]*+'|[^\t\n\f\r \"'<>=`]++)"
_ATTRIBUTE = rf"{_BLANK}++[A-Za-z_:][\w:.\-]*+(?:{_BLANK}*+={_BLANK}*+{_VALUE})?+"
_TOKEN = re.compile(
    rf"<(/?)([A-Za-z][A-Za-z0-9:\-]*+)((?:{_ATTRIBUTE})*+){_BLANK}*+/?>|<!--[^<>\-]*+(?:-[^<>\-]++)*+-->"
    r"|<![^<>\-]*+>|<"
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_CLOSED_BY_THEMSELVES = frozenset(
    {"p", "li", "dt", "dd", "option", "td", "th", "tr", "tbody", "thead", "tfoot", "html", "head", "body"}
)
_RAW = frozenset({"style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "noscript"})
_FOREIGN = frozenset({"svg", "math"})


def is_regular(html: str) -> bool:
    """Whether a tree of this is cheap."""
    if html.count("<") <= MOST_TAGS:
        return True
    standing: list[str] = []
    for closes, name in _tags(html):
        if not name or name in _FOREIGN or (standing and standing[-1] in _RAW and not closes):
            return False
        if closes and (not standing or standing.pop() != name):
            return False
        if not closes:
            standing.append(name)
        if len(standing) > DEEPEST:
            return False
    return True


def _tags(html: str) -> Iterator[tuple[bool, str]]:
    """Whether a tag closes, and its name, empty for what is no plain tag. Those that cannot nest are left out."""
    for match in _TOKEN.finditer(html):
        name = (match[2] or "").lower()
        if name not in _VOID and name not in _CLOSED_BY_THEMSELVES and (name or match[0] == "<"):
            yield bool(match[1]), name
