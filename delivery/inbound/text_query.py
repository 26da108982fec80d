"""What a filter asks of a message's text: words, phrases in double quotes, and `OR` between alternatives."""

from __future__ import annotations

import re
from functools import lru_cache

Alternatives = tuple[tuple[str, ...], ...]

_SPACES = re.compile(r"\s+")
# a phrase, an OR that stands alone, or a word; a quotation mark without a second one is part of a word
_TOKEN = re.compile(
    r'"(?P<phrase>[^"]*)"|(?P<or>(?<![^\s"])OR(?=\s|"[^"]*"|$))|(?P<word>(?:[^\s,"]|"(?![^"]*"))+)'
)


def plain(text: str) -> str:
    """Text as it is compared: in lower case, each run of white space one blank."""
    return _SPACES.sub(" ", text.lower()).strip()


@lru_cache(maxsize=4096)
def parse(query: str) -> Alternatives:
    """The alternatives of a query; in one of them all texts must occur. Empty for a query that asks nothing.

    Blanks and commas separate words. A query of nothing but separators and `OR` asks for itself.
    """
    alternatives: list[list[str]] = [[]]
    for token in _TOKEN.finditer(query):
        if token["or"]:
            alternatives.append([])
        elif term := plain(token["phrase"] or token["word"] or ""):
            alternatives[-1].append(term)
    found = tuple(tuple(terms) for terms in alternatives if terms)
    return found or (((plain(query),),) if plain(query) else ())


def holds(query: str, text: str) -> bool:
    """Whether a text, in the form that `plain` makes, is what a query asks for."""
    alternatives = parse(query)
    return not alternatives or any(all(term in text for term in terms) for terms in alternatives)
