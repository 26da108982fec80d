"""Header values: encoded-words (RFC 2047), unfolding, addresses (RFC 5322 §3.4), dates, and the indexed headers."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import islice
from quopri import decodestring
from typing import Any, Required, TypeAlias, TypedDict

from mail.charsets import decode
from mail.domains import InvalidDomain, canonical_domain

ADDRESS_HEADERS = frozenset({"from", "sender", "reply-to", "to", "cc", "bcc"})
_INDEXED = frozenset(
    {
        "to",
        "cc",
        "bcc",
        "subject",
        "from",
        "sender",
        "reply-to",
        "message-id",
        "thread-index",
        "list-id",
        "delivered-to",
    }
)
_MOST_INDEXED_BYTES = 880
MOST_ADDRESSES = 2000
LONGEST_VALUE = 64 * 1024

_WORD_BEGIN = re.compile(r"=\?([\w.:\-]+?)(?:\*[\w\-]*)?\?([BbQq])\?")
_BLANK = re.compile(r"\s|\Z")
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t\r\n]+(?==\?[\w.:\-]+(?:\*[\w\-]*)?\?[BbQq]\?)")
_FOLD = re.compile(r"(?<![ \t\r\n])[ \t]*[\r\n][ \t\r\n]*")
_SPACES = re.compile(r"\s+")
_ANGLE = re.compile(r"<([^<>]*)>")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ADDRESS_TOKEN = re.compile(
    r'"((?:\\.|[^"\\])*)(?:"|\\?\Z)|\(((?:\\.|[^()\\])*)\)|<([^<>]*)>|([,;:])|([^\s",;:<>()]+)|(\s+)|(.)',
    re.S,
)
_COMMENT = re.compile(r"\((?:\\.|[^()\\])*\)")
_ROUTE = re.compile(r"\A\s*@[^:\"]*:")  # of RFC 822, of no use any more (RFC 5322 §4.4)
_ZONES = {
    "EET": 2, "EEST": 3, "CET": 1, "CEST": 2, "MET": 1, "MEST": 2, "WET": 0, "WEST": 1, "BST": 1, "MSK": 3, "MSD": 4,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "JST": 9, "KST": 9,
    "IST": 5.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "Z": 0,
}  # fmt: skip
_ZONE = re.compile(r"\b([A-Z]{1,4}T?)\s*(?:\([^)]*\))?\s*$")


class HeaderAddress(TypedDict, total=False):
    """An address of a header, or a group of them (RFC 5322 §3.4): that has `group` in place of `address`."""

    name: Required[str]
    address: str
    group: list[HeaderAddress]


# The fields of a header by name in lower case: a text, a list of texts where a field is repeated, HeaderAddresses
# for the fields in ADDRESS_HEADERS, and a `mail.parameters.ContentField` for Content-Type and Content-Disposition.
ParsedHeader: TypeAlias = Mapping[str, Any]


def unfold(value: str) -> str:
    """Line breaks with the white space around them become one blank (RFC 5322 §2.2.3)."""
    return _FOLD.sub(" ", value) if "\n" in value or "\r" in value else value


def decode_words(text: str) -> str:
    """A header's text with its encoded-words decoded; white space between two of them goes."""
    if "=?" not in text:
        return text
    text = _BETWEEN_WORDS.sub(r"\1", text)
    parts: list[str] = []
    end, pending, charset = 0, b"", ""
    for match, stop in _words(text):
        data = _word_bytes(match[2], text[match.end() : stop])
        if pending and (match.start() > end or match[1].lower() != charset):
            parts.append(decode(pending, charset))
            pending = b""
        parts.append(text[end : match.start()])
        pending, charset, end = pending + data, match[1].lower(), stop + 2
    if pending:
        parts.append(decode(pending, charset))
    return _clean("".join(parts) + text[end:])


def _words(text: str) -> Iterator[tuple[re.Match[str], int]]:
    """Where each encoded-word begins, and where its `?=` stands; the text is gone through once only."""
    position = stop = blank = 0
    while match := _WORD_BEGIN.search(text, position):
        position = match.end()
        if stop < position and (stop := text.find("?=", position)) < 0:
            return
        if blank < position and (found := _BLANK.search(text, position)):
            blank = found.start()
        if stop < blank:
            yield match, stop
            position = stop + 2


def _word_bytes(encoding: str, payload: str) -> bytes:
    if encoding in "Qq":
        return decodestring(payload.encode("utf-8", "replace").replace(b"_", b" "))
    data = _NOT_BASE64.sub(b"", payload.encode("ascii", "replace"))
    return b64decode(data[: len(data) - 1 if len(data) % 4 == 1 else None] + b"=" * (-len(data) % 4))


def _clean(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def addresses(text: str, limit: int = MOST_ADDRESSES) -> list[HeaderAddress]:
    """The first addresses of a header as `{name, address}`, groups as `{name, group}`; names are not decoded."""
    found: list[HeaderAddress] = []
    members: list[HeaderAddress] | None = None
    for mark, entry in islice(
        _entries(unfold(text[: LONGEST_VALUE * 4])), max(min(limit, MOST_ADDRESSES), 0)
    ):
        if mark == ":" and members is None:
            members = []
            found.append({"name": entry["name"] or entry["address"], "group": members})
        elif entry["name"] or entry["address"]:
            (found if members is None else members).append(entry)
        if mark == ";":
            members = None
    return found


def count(entries: Iterable[Mapping[str, Any]]) -> int:
    """How many addresses and groups a header has."""
    return sum(1 + len(entry.get("group", ())) for entry in entries)


def _entries(text: str) -> Iterator[tuple[str, HeaderAddress]]:
    """Each address with the mark that ends it: a comma, a colon, a semicolon, or nothing."""
    words: list[str] = []
    comments: list[str] = []
    angle: str | None = None
    for match in _ADDRESS_TOKEN.finditer(text):
        quoted, comment, inner, mark, atom, blank, other = match.groups()
        if mark and not (mark == ":" and angle is not None):
            yield mark, _entry(words, comments, angle)
            words, comments, angle = [], [], None
        elif inner is not None:
            angle = _ROUTE.sub("", _COMMENT.sub("", inner)).strip()
        elif comment is not None:
            comments.append(comment)
        elif quoted is not None:
            words.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            words.append(atom or (" " if blank else other or ""))
    yield "", _entry(words, comments, angle)


def _entry(words: list[str], comments: list[str], angle: str | None) -> HeaderAddress:
    text = _SPACES.sub(" ", "".join(words)).strip()
    comment = " ".join(comments).strip()
    if angle is not None:
        return {"name": text or comment, "address": angle}
    head, _, last = text.rpartition(" ")
    if "@" in last:
        return {"name": head or comment, "address": last}
    if "@" in head and " " not in head:
        return {"name": comment, "address": head}
    return {"name": text or comment, "address": ""}


def decoded_addresses(entries: Iterable[Mapping[str, Any]]) -> list[HeaderAddress]:
    """The same with names decoded and domains in Unicode; groups stay groups."""
    return [_decoded(entry) for entry in entries]


def _decoded(entry: Mapping[str, Any]) -> HeaderAddress:
    name = decode_words(str(entry.get("name") or ""))
    if "group" in entry:
        return {"name": name, "group": decoded_addresses(entry["group"])}
    return {"name": name, "address": unicode_domain(str(entry.get("address") or ""))}


def flat_addresses(entries: Iterable[Mapping[str, Any]] | None) -> Iterator[HeaderAddress]:
    """The addresses themselves, members of groups included."""
    for entry in entries or ():
        if "group" in entry:
            yield from flat_addresses(entry["group"])
        elif entry.get("address"):
            yield {"name": str(entry.get("name") or ""), "address": entry["address"]}


def unicode_domain(address: str) -> str:
    """The address with a punycode domain decoded; a domain that cannot be decoded stays."""
    local, at, domain = address.rpartition("@")
    if "xn--" not in domain.lower():
        return address
    try:
        return local + at + canonical_domain(domain)
    except InvalidDomain:
        return address


def read_date(text: str) -> datetime | None:
    """A Date header (RFC 5322 §3.3) or an ISO date, in UTC; zone names that people write are understood."""
    text = unfold(text).strip()[:200]
    for reader in (_rfc_date, datetime.fromisoformat, _named_zone_date):
        try:
            date = reader(text)
            date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
        return date.replace(microsecond=date.microsecond // 1000 * 1000)
    return None


def _rfc_date(text: str) -> datetime:
    if (zone := _ZONE.search(text)) and zone[1] in _ZONES and zone[1] != "Z":
        raise ValueError("left to the reader of named zones")
    return parsedate_to_datetime(text)


def _named_zone_date(text: str) -> datetime:
    match = _ZONE.search(text)
    if not match or match[1] not in _ZONES:
        raise ValueError("no known zone")
    date = parsedate_to_datetime(text[: match.start()] + "+0000")
    return date.replace(tzinfo=timezone(timedelta(hours=_ZONES[match[1]])))


def indexed(fields: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """The header values that searches look at: decoded, lower case, bounded. `fields` are (name, UTF-8 text)."""
    return [{"key": name, "value": _indexed_value(name, text)} for name, text in fields if name in _INDEXED]


def _indexed_value(name: str, text: str) -> str:
    value = decode_words(unfold(text[:LONGEST_VALUE]).strip()).lower()
    if name == "list-id" and (match := _ANGLE.search(value)):
        value = match[1]
    data = value.encode()
    return (
        data[:_MOST_INDEXED_BYTES].decode("utf-8", "ignore")[:-4]
        if len(data) >= _MOST_INDEXED_BYTES
        else value
    )


def subject_text(raw: str) -> str:
    """A Subject as people read it: decoded, white space collapsed."""
    return _SPACES.sub(" ", decode_words(unfold(raw[:LONGEST_VALUE]).strip())).strip()
