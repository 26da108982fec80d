"""Sanitize HTML of strangers: a browser runs nothing of it, and no markup keeps a parser busy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import nh3

from mail.html import html_to_text, text_to_html

_TAGS = nh3.ALLOWED_TAGS | {"font", "center", "u", "main", "section", "wbr"}
_ATTRIBUTES = {
    **{tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()},
    "*": {"style", "class", "dir", "lang", "title", "align", "valign", "bgcolor", "color", "width", "height"},
    "font": {"face", "size", "color"},
    "img": {"src", "alt", "width", "height", "border"},
    "table": {"border", "cellpadding", "cellspacing", "width", "summary"},
    "td": {"colspan", "rowspan", "nowrap"},
    "th": {"colspan", "rowspan", "nowrap", "scope"},
}
_STYLES = {
    "background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left", "border-radius",
    "border-right", "border-spacing", "border-style", "border-top", "border-width", "color", "direction", "display",
    "font", "font-family", "font-size", "font-style", "font-weight", "height", "letter-spacing", "line-height",
    "list-style-type", "margin", "margin-bottom", "margin-left", "margin-right", "margin-top", "max-height",
    "max-width", "min-height", "min-width", "padding", "padding-bottom", "padding-left", "padding-right",
    "padding-top", "text-align", "text-decoration", "text-indent", "text-transform", "vertical-align", "white-space",
    "width", "word-break", "word-wrap",
}  # fmt: skip
_SCHEMES = {"http", "https", "mailto", "tel", "cid", "attachment", "data"}
_SAFE_DATA = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]*", re.I)
_IGNORED_IN_URLS = re.compile(r"[\x00-\x20]+")
_ACTIVE_STYLE = re.compile(r"url|expression|import|behavior|binding|javascript|[\\@<>{}]|/\*", re.I)
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
    """Return whether markup is small or regular enough to build a tree of it.

    HTML parsers repair any nesting, but their work grows with the square of the depth that they repair to: 640 KiB can
    keep one busy for minutes. Up to some thousand tags that does not matter. Above, only markup whose tags are closed
    in order, which cannot become deeper than it looks, is worth a tree.
    """
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
    """Yield for each tag whether it closes, and its name, empty if it is no plain tag. Omit tags that cannot nest."""
    for match in _TOKEN.finditer(html):
        name = (match[2] or "").lower()
        if name not in _VOID and name not in _CLOSED_BY_THEMSELVES and (name or match[0] == "<"):
            yield bool(match[1]), name


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Data URLs only as pictures of formats that hold no program; styles that load and run nothing.

    Browsers pass over white space and control characters in front of a URL, and line breaks within its scheme.
    """
    if name == "style":
        return _passive(value) or None
    bare = _IGNORED_IN_URLS.sub("", value[:1000]).lower()
    if bare.startswith("data:") and not (
        tag == "img" and name == "src" and _SAFE_DATA.fullmatch(value.strip())
    ):
        return None
    if name == "cite" and not bare.startswith(("http:", "https:")):
        return None
    return value


def _passive(style: str) -> str:
    """The declarations without functions that load or run something, and without escapes that could hide one."""
    return ";".join(part for part in style.split(";") if not _ACTIVE_STYLE.search(part))


_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes=_ATTRIBUTES,
    attribute_filter=_attribute,
    clean_content_tags={
        "script",
        "style",
        "title",
        "template",
        "noscript",
        "svg",
        "math",
        "iframe",
        "object",
    },
    filter_style_properties=_STYLES,
    url_schemes=_SCHEMES,
    link_rel="noopener noreferrer nofollow",
    strip_comments=True,
)


def sanitize(html: str) -> str:
    """HTML of which a browser runs nothing: no script, no handlers, no frames, no style sheets.

    Large markup that is nested as nobody writes it is shown as text, see `is_regular`.
    """
    return _CLEANER.clean(html if is_regular(html) else text_to_html(html_to_text(html)))
