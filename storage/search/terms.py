"""What a search asks for, as a tree: the same whether it came as parameters or in the `q` language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from storage.messages.uid_set import UidSet


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Term


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text or of the headers, found through the text index."""

    text: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand together in the text or in the subject; any white space between them."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A search of the text index in its own notation."""

    query: str


@dataclass(frozen=True, slots=True)
class Header:
    """One of the header fields of these names contains the text, in any case."""

    names: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class InMailbox:
    """In this mailbox; None for one that is not there."""

    mailbox: ObjectId | None


@dataclass(frozen=True, slots=True)
class Named:
    """In the mailbox that people call so, see `storage.search.places`."""

    name: str


@dataclass(frozen=True, slots=True)
class InThread:
    """In this thread."""

    thread: ObjectId


@dataclass(frozen=True, slots=True)
class Uids:
    """With one of these UIDs."""

    uids: UidSet


@dataclass(frozen=True, slots=True)
class Arrived:
    """Came at these times, both ends included."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """Has so many bytes, both ends included."""

    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Unseen:
    """Is unseen, or seen; either way not marked as deleted."""

    value: bool


@dataclass(frozen=True, slots=True)
class Flagged:
    """Is flagged."""


@dataclass(frozen=True, slots=True)
class HasAttachments:
    """Has attachments that are not part of the text."""


@dataclass(frozen=True, slots=True)
class NotDeleted:
    """Is not marked as deleted."""


@dataclass(frozen=True, slots=True)
class NotSpamOrTrash:
    """Is neither in Junk nor in Trash."""


Term = (
    All
    | Some
    | Not
    | Word
    | Phrase
    | Text
    | Header
    | InMailbox
    | Named
    | InThread
    | Uids
    | Arrived
    | Size
    | Unseen
    | Flagged
    | HasAttachments
    | NotDeleted
    | NotSpamOrTrash
)


def walk(term: Term) -> Iterator[Term]:
    """The term and all below it."""
    yield term
    for part in term.parts if isinstance(term, All | Some) else (term.part,) if isinstance(term, Not) else ():
        yield from walk(part)
