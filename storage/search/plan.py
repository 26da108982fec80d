"""Terms → the conditions that the database is asked with.

MongoDB takes one text search in a query, and with one below an `$or` it does not choose well among other indexes.
So where words are an alternative to other things, alternatives are separate conditions, each with its own index.
At most one part of each becomes a text search; words anywhere else are looked for as they stand, in the text and in
the subject.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bson import ObjectId
from bson.regex import Regex

from mail.search_tokens import ANY, TOKENS_OF, word_to_look_up
from storage.base.database import Condition
from storage.base.listing import literal
from storage.messages.search_tokens import TOKENS
from storage.search.terms import (
    All,
    Arrived,
    Flagged,
    HasAttachments,
    Header,
    InMailbox,
    InThread,
    Named,
    Not,
    NotDeleted,
    NotSpamOrTrash,
    Phrase,
    Size,
    Some,
    Term,
    Text,
    Uids,
    Unseen,
    Word,
    walk,
)

_MOST_APART = 8
_NOTHING: Condition = {"_id": {"$exists": False}}
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Places:
    """What a plan has to know of the account's mailboxes; `named` finds one by what people call it."""

    spam_and_trash: Sequence[ObjectId] = ()
    named: Callable[[str], ObjectId | None] = lambda name: None


def plan(
    user: ObjectId, term: Term | None, places: Places, *, all_words: bool = False, within: Sequence[Term] = ()
) -> list[Condition]:
    """The conditions for the messages of an account: wanted is what fulfils one of them.

    A term of None finds nothing; `within` narrows what is found. `all_words` has each word of a text search occur,
    where otherwise any of them suffices.
    """
    if term is None:
        return [{"$and": [{"user": user}, _NOTHING]}]
    parts = _parts(term)
    beside = [_condition(part, places) for part in within]
    if _wants_searchable(term, (*parts, *within)):
        beside.append({"searchable": True})
    return [_together(user, own, beside, places, all_words=all_words) for own in _apart(parts)]


def _together(
    user: ObjectId, parts: list[Term], beside: list[Condition], places: Places, *, all_words: bool
) -> Condition:
    text, rest = _text_search(parts, all_words=all_words)
    conditions: list[Condition] = [{"user": user}]
    conditions += [{"$text": {"$search": text}}] if text else []
    return {"$and": [*conditions, *(_condition(part, places) for part in rest), *beside]}


def _parts(term: Term) -> list[Term]:
    return list(term.parts) if isinstance(term, All) else [term]


def _apart(parts: list[Term]) -> list[list[Term]]:
    """Lists of parts that must all hold, one list of them. More than one where words are combined with alternatives."""
    if _has_text(parts):
        return [parts]
    for part in parts:
        if isinstance(part, Some) and 1 < len(alternatives := _alternatives(part)) <= _MOST_APART:
            rest = _without(parts, part)
            return [[*rest, *alternative] for alternative in alternatives]
    return [parts]


def _alternatives(some: Some) -> list[list[Term]]:
    """All words together, what has a text search by itself, and the rest together. Empty without a text search."""
    flat = list(_flat(some))
    words: list[Term] = [part for part in flat if isinstance(part, Word)]
    texts = [_parts(part) for part in flat if not isinstance(part, Word) and _has_text(_parts(part))]
    others: list[Term] = [part for part in flat if not isinstance(part, Word) and not _has_text(_parts(part))]
    if not words and not texts:
        return []
    return [[_some(same)] for same in (others, words) if same] + texts


def _flat(some: Some) -> Iterator[Term]:
    for part in some.parts:
        yield from _flat(part) if isinstance(part, Some) else (part,)


def _some(parts: list[Term]) -> Term:
    return parts[0] if len(parts) == 1 else Some(tuple(parts))


def _has_text(parts: list[Term]) -> bool:
    return bool(_text_search(parts, all_words=False)[0])


def _text_search(parts: list[Term], *, all_words: bool) -> tuple[str, list[Term]]:
    """What the text index is asked for, empty for nothing, and the parts that it does not answer."""
    for part in parts:
        if isinstance(part, Text):
            return _every_word(part.query) if all_words else part.query, _without(parts, part)
        if isinstance(part, Some) and (words := _words(part)):
            return " ".join(map(_as_it_is, words)), _without(parts, part)
    wanted = [part.text for part in parts if isinstance(part, Word)]
    if not wanted:
        return "", parts
    text = [_quoted(word) if all_words else _as_it_is(word) for word in wanted]
    return " ".join(text), [part for part in parts if not isinstance(part, Word)]


def _without(parts: list[Term], part: Term) -> list[Term]:
    return [other for other in parts if other is not part]


def _words(some: Some) -> list[str]:
    """The words of alternatives that are words or searches for words alone."""
    words = [part.text for part in some.parts if isinstance(part, Word)]
    return words if len(words) == len(some.parts) else []


def _every_word(query: str) -> str:
    """Each word as a phrase, so that all must occur."""
    return " ".join(map(_quoted, query.split()))


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _as_it_is(word: str) -> str:
    """A word that has a meaning in the notation of text searches must not have it here."""
    return _quoted(word) if word.startswith("-") or '"' in word else word


def _wants_searchable(term: Term, at_top: Sequence[Term]) -> bool:
    """Return whether messages that are marked as deleted are skipped."""
    kinds = (Word, Phrase, Text, Unseen)
    return any(isinstance(part, kinds) for part in walk(term)) or NotSpamOrTrash() in at_top


def _condition(term: Term, places: Places) -> Condition:
    match term:
        case All(parts):
            return {"$and": [_condition(part, places) for part in parts]} if parts else {}
        case Some(parts):
            return {"$or": [_condition(part, places) for part in parts]}
        case Not(part):
            return _negated(part, places)
        case Word(text) | Phrase(text) | Text(text):
            return _as_it_stands(text)
        case Header(names, text):
            return _header(names, text)
        case InMailbox(mailbox):
            return _NOTHING if mailbox is None else {"mailbox": mailbox}
        case Named(name):
            return _condition(InMailbox(places.named(name)), places)
        case NotSpamOrTrash():
            return {"mailbox": {"$nin": list(places.spam_and_trash)}}
        case _:
            return _field(term)


def _field(term: Term) -> Condition:
    match term:
        case InThread(thread):
            return {"thread": thread}
        case Uids(uids):
            return uids.condition()
        case Arrived(since, until):
            return {"idate": {**({"$gte": since} if since else {}), **({"$lte": until} if until else {})}}
        case Size(least, most):
            return {"size": {**({"$gte": least} if least else {}), **({"$lte": most} if most else {})}}
        case Unseen(value):
            return {"unseen": value}
        case Flagged():
            return {"flagged": True}
        case HasAttachments():
            return {"ha": True}
        case NotDeleted():
            return {"searchable": True}
    raise TypeError(f"no condition for {term}")


def _negated(part: Term, places: Places) -> Condition:
    """A header term is looked up by its tokens, which messages may lack: those must not pass for a `no`."""
    if isinstance(part, Named) and places.named(part.name) is None:
        return {}
    return {"$nor": [_condition(part, places) or {"_id": {"$exists": True}}]}


def _as_it_stands(text: str) -> Condition:
    pattern = r"\s+".join(literal(word) for word in _SPACES.split(text.strip()))
    subject = {"key": "subject", "value": {"$regex": pattern, "$options": "i"}}
    return {"$or": [{"text": {"$regex": pattern, "$options": "i"}}, {"headers": {"$elemMatch": subject}}]}


def _header(names: tuple[str, ...], text: str) -> Condition:
    """The pattern decides; the index of tokens only keeps the database from looking at messages for nothing.

    Messages that WildDuck stored have no tokens until the job has made them, so they are looked at all the same:
    they stand in the index under None. Where an account has none of these any more, that costs nothing.
    """
    value = {"$regex": literal(text.lower())}
    key: Condition = {"$in": list(names)} if len(names) > 1 else names[0]  # type: ignore[assignment]
    condition: dict[str, object] = {"headers": {"$elemMatch": {"key": key, "value": value}}}
    if word := word_to_look_up(text):
        codes = dict.fromkeys(TOKENS_OF[name] for name in names)
        condition[TOKENS] = {"$in": [*(Regex(f"^{code}{word}") for code in codes), ANY, None]}
    return condition
