"""Words of addresses and subjects as tokens of an index that answers `contains` from the beginning of a key.

A text contains what is looked for if some word of it, from some letter on, begins with it. So each word stands in the
index from each of its letters on, behind a letter for the header: `f:grace`, `f:race`, `f:ace`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

TOKENS_OF: Mapping[str, str] = {"from": "f:", "to": "t:", "cc": "t:", "bcc": "t:", "subject": "s:"}

_WORD = re.compile(r"[^\W_]+")
_SHORTEST, _LONGEST = 3, 16
_MOST = 1000

ANY = "*"
"""The token of a message that every search has to look at."""


def search_tokens(headers: Iterable[Mapping[str, str]]) -> list[str]:
    """The tokens of a message's indexed headers, `[{key, value}]`.

    A message that would have too many has ANY alone: every search looks at it, and no answer is wrong.
    """
    found: dict[str, None] = {}
    for header in headers:
        if code := TOKENS_OF.get(header["key"]):
            found.update(dict.fromkeys(f"{code}{token}" for token in _tokens(header["value"])))
            if len(found) > _MOST:
                return [ANY]
    return list(found)


def _tokens(value: str) -> Iterable[str]:
    for word in _WORD.findall(value.lower()):
        yield word[:_LONGEST]
        for start in range(1, len(word) - _SHORTEST + 1):
            yield word[start : start + _LONGEST]


def word_to_look_up(text: str) -> str:
    """The most selective word of a searched text, as it stands in the index; empty if none is long enough."""
    words = [word for word in _WORD.findall(text.lower()) if len(word) >= _SHORTEST]
    return max(words, key=len)[:_LONGEST] if words else ""
