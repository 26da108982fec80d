"""The `q` language: words, phrases, `keyword:value`, `and`, `or`, parentheses and `-`.

    any      = all { "or" all }
    all      = factor { [ "and" ] factor }
    factor   = { "-" } ( "(" any ")" | term )
    term     = word | '"' … '"' | keyword ":" ( word | '"' … '"' )

`\\` takes the next character as it is. A quote that is not closed ends with the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from storage.search.keywords import OPEN_VALUES, keyword_term
from storage.search.terms import All, Not, Phrase, Some, Term, Word

_BLANKS = " \t\r\n\f\v"
_OPERATOR = re.compile(r"(and|or)(?=[\s()\"]|\Z)", re.I)
_DEEPEST = 50
_NOTHING_AFTER = "there is nothing to search for after `{}`"


class QuerySyntaxError(ValueError):
    """The text is no query; the message says where it goes wrong."""


@dataclass(frozen=True, slots=True)
class _Token:
    """`kind` is one of `( ) - and or` or `term`; a term has its text, what precedes its colon, and its quotes."""

    kind: str
    text: str = ""
    keyword: str | None = None
    quoted: bool = False


def parse_query(text: str) -> Term | None:
    """The term that a text stands for, None where nothing is left of it. Raises QuerySyntaxError."""
    return _Parser(list(_tokens(text))).whole()


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        character = text[position]
        if character in _BLANKS:
            position += 1
        elif character in "()-":
            position += 1
            yield _Token(character)
        elif match := _OPERATOR.match(text, position):
            position = match.end()
            yield _Token(match[1].lower())
        else:
            position, token = _term(text, position)
            yield token


def _term(text: str, position: int) -> tuple[int, _Token]:
    """A word, a quoted text, or a keyword with its value, which ends before the position returned."""
    if text[position] == '"':
        position, value = _quoted(text, position)
        return position, _Token("term", value, quoted=True)
    position, word, colon = _word(text, position)
    if colon < 0:
        return position, _Token("term", word)
    keyword, value = word[:colon].lower(), word[colon + 1 :]
    if not value and text[position : position + 1] == '"':
        position, value = _quoted(text, position)
        return position, _Token("term", value, keyword, quoted=True)
    if len(value) > 1 and value[0] == value[-1] == "'":
        return position, _Token("term", value[1:-1], keyword, quoted=True)
    return position, _Token("term", value, keyword)


def _quoted(text: str, position: int) -> tuple[int, str]:
    characters: list[str] = []
    position += 1
    while position < len(text) and text[position] != '"':
        position += text[position] == "\\" and position + 1 < len(text)
        characters.append(text[position])
        position += 1
    return position + 1, "".join(characters)


def _word(text: str, position: int) -> tuple[int, str, int]:
    """The end of a word, the word, and where its first colon stands in it, -1 without one."""
    characters: list[str] = []
    colon = -1
    while position < len(text) and text[position] not in _BLANKS + '()"':
        escaped = text[position] == "\\" and position + 1 < len(text)
        position += escaped
        if text[position] == ":" and not escaped and colon < 0:
            colon = len(characters)
        characters.append(text[position])
        position += 1
    return position, "".join(characters), colon


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    def whole(self) -> Term | None:
        if not self._tokens:
            return None
        term = self._any()
        if self._position < len(self._tokens):
            raise QuerySyntaxError("there is a `)` too many")
        return term

    @property
    def _kind(self) -> str:
        return self._tokens[self._position].kind if self._position < len(self._tokens) else ""

    def _take(self) -> _Token:
        self._position += 1
        return self._tokens[self._position - 1]

    def _any(self) -> Term | None:
        parts = [self._all()]
        while self._kind == "or":
            self._take()
            parts.append(self._all())
        return _joined(Some, parts)

    def _all(self) -> Term | None:
        parts = [self._factor()]
        while self._kind and self._kind not in (")", "or"):
            if self._kind == "and":
                self._take()
            parts.append(self._factor())
        return _joined(All, parts)

    def _factor(self) -> Term | None:
        negated = False
        while self._kind == "-":
            self._take()
            negated = not negated
        part = self._group() if self._kind == "(" else self._leaf()
        return Not(part) if negated and part is not None else part

    def _group(self) -> Term | None:
        self._take()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise QuerySyntaxError(f"parentheses are nested more than {_DEEPEST} deep")
        part = self._any()
        if self._kind != ")":
            raise QuerySyntaxError("a `(` is not closed")
        self._take()
        self._depth -= 1
        return part

    def _leaf(self) -> Term | None:
        if self._kind != "term":
            raise QuerySyntaxError(_NOTHING_AFTER.format(self._last()))
        token = self._take()
        if token.keyword is None:
            return _text(token.text)
        if not token.text and not token.quoted and token.keyword in OPEN_VALUES and self._is_value():
            token = _Token("term", self._take().text, token.keyword, quoted=True)
        return keyword_term(token.keyword, token.text) if token.keyword else _text(f":{token.text}")

    def _is_value(self) -> bool:
        return self._kind == "term" and self._tokens[self._position].keyword is None

    def _last(self) -> str:
        return self._tokens[self._position - 1].kind if self._position else "the beginning"


def _text(text: str) -> Term | None:
    words = text.split()
    if not words:
        return None
    return Word(words[0]) if len(words) == 1 else Phrase(" ".join(words))


def _joined(kind: type[All] | type[Some], parts: list[Term | None]) -> Term | None:
    """Parts that say nothing drop out; one alone needs no frame."""
    left = tuple(part for part in parts if part is not None)
    if len(left) < 2:
        return left[0] if left else None
    return kind(left)
