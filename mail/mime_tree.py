"""Bytes of a message → the MIME tree that is stored, and where in the bytes each body stands (RFC 2045, 2046).

Any bytes parse: depth, number of parts and what headers and preambles add to the tree are bounded, and what lies beyond
a bound stays part of the body around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from mail.headers import (
    ADDRESS_HEADERS,
    LONGEST_VALUE,
    MOST_ADDRESSES,
    ParsedHeader,
    addresses,
    count,
    unfold,
)
from mail.parameters import parse as parse_parameters

DEEPEST = 25
LARGEST_OUTSIDE = 64 * 1024
LARGEST_COPY = 300 * 1024

_BARE_LF = re.compile(rb"(?<!\r)\n")
_EMPTY_LINE = re.compile(rb"\n\r*\n")
_LEADING_EMPTY_LINE = re.compile(rb"\r*\n")
_FIELD_END = re.compile(rb"(?<!\r)\r*\n(?![ \t])")
_KEY = re.compile(r"[a-z0-9\-*]{1,99}")
_SINGLE = frozenset(
    {
        "in-reply-to", "message-id", "content-transfer-encoding", "content-id", "content-description",
        "content-language", "content-md5", "content-location",
    }
)  # fmt: skip
_STRUCTURED = ("content-type", "content-disposition")
_IDENTITY = frozenset({"", "7bit", "8bit", "binary"})


def normalize(raw: bytes) -> bytes:
    """The bytes with each bare LF as CRLF: what a message's source is from here on."""
    return raw if raw.count(b"\n") == raw.count(b"\r\n") else _BARE_LF.sub(b"\r\n", raw)


class Node(TypedDict, total=False):
    """A part of a message as it is stored, or the whole message."""

    header: list[str]  # the lines as they came, folds included, bytes as latin-1
    parsedHeader: ParsedHeader
    # A leaf's encoded content, a multipart's preamble and epilogue; False where it is stored apart
    body: bytes | memoryview | Literal[False]
    multipart: str | Literal[False]  # the subtype of a multipart
    boundary: str | Literal[False]
    lineCount: int
    size: int  # of the body, in bytes
    childNodes: list[Node]
    message: Node  # of a message/rfc822
    attachmentId: str  # of a body that is stored apart
    attachmentMap: dict[str, bytes]  # of the root: the hash of the encoded body for each attachmentId


@dataclass(slots=True)
class Parsed:
    """The root node, the normalized bytes, and for each leaf in order of the bytes where its body stands."""

    root: Node
    source: bytes
    leaves: list[tuple[Node, int, int]] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Budget:
    """What a tree may still take in: parts, addresses, bytes of headers and around parts, and messages within."""

    parts: int = 1000
    header_bytes: int = 2 * 1024 * 1024
    addresses: int = 20_000
    outside: int = 1024 * 1024
    embedded: int = 64 * 1024 * 1024


def sparing() -> Budget:
    """A budget with which no message makes a tree that is too large to be stored."""
    return Budget(
        parts=50, header_bytes=64 * 1024, addresses=2000, outside=256 * 1024, embedded=2 * 1024 * 1024
    )


def parse(raw: bytes, budget: Budget | None = None) -> Parsed:
    """Parse a message. Never fails. Where a body is large, the tree has a view of the source and no copy."""
    source = normalize(raw)
    parsed = Parsed({}, source)
    parser = _Parser(source, budget or Budget(), parsed.leaves)
    parsed.root = parser.node(0, len(source), 0)
    parsed.fields = list(header_fields(parsed.root["header"]))
    return parsed


class _Parser:
    def __init__(self, source: bytes, budget: Budget, leaves: list[tuple[Node, int, int]]) -> None:
        self._source = source
        self._budget = budget
        self._leaves = leaves

    def node(self, start: int, end: int, depth: int) -> Node:
        """The node of these bytes. Preamble and epilogue of a multipart together are its body."""
        body = self._body_start(start, end)
        header = self._header(start, body)
        parsed = parsed_header(header, self._budget.addresses)
        self._budget.addresses -= sum(count(parsed[name]) for name in ADDRESS_HEADERS & parsed.keys())
        kind = parsed["content-type"]
        boundary = str(kind["params"].get("boundary") or "")
        is_multipart = kind["type"] == "multipart" and bool(boundary) and depth < DEEPEST
        node: Node = {
            "header": header,
            "parsedHeader": parsed,
            "body": b"",
            "multipart": kind["subtype"] or "mixed",
            "boundary": boundary,
        }
        ranges, preamble_end, epilogue = self._parts(boundary, body, end) if is_multipart else ([], end, end)
        if not ranges:
            node["multipart"] = node["boundary"] = False
            self._leaf(node, body, end, depth)
            return node
        most = min(LARGEST_OUTSIDE, self._budget.outside)
        outside = self._source[body : min(preamble_end, body + most)]
        outside = (outside + self._source[epilogue : min(end, epilogue + most)])[:most]
        self._budget.outside -= len(outside)
        outside += b"\r\n" if outside and not outside.endswith(b"\n") else b""
        node["body"] = outside
        node["lineCount"], node["size"] = outside.count(b"\n"), len(outside)
        node["childNodes"] = [self.node(*part, depth + 1) for part in ranges]
        return node

    def _body_start(self, start: int, end: int) -> int:
        if match := _LEADING_EMPTY_LINE.match(self._source, start, end):
            return match.end()
        match = _EMPTY_LINE.search(self._source, start, end)
        return match.end() if match else end

    def _header(self, start: int, body: int) -> list[str]:
        allowed = min(body - start, self._budget.header_bytes)
        self._budget.header_bytes -= allowed
        return [line.decode("latin-1") for line in header_lines(self._source[start : start + allowed])]

    def _parts(self, boundary: str, start: int, end: int) -> tuple[list[tuple[int, int]], int, int]:
        """Where the parts stand, where the preamble ends and where the epilogue begins (RFC 2046 §5.1.1)."""
        pattern = re.compile(rb"^--" + re.escape(boundary.encode()) + rb"(--)?[ \t]*\r*(?:\n|\Z)", re.M)
        ranges: list[tuple[int, int]] = []
        preamble_end, begun = end, -1
        for match in pattern.finditer(self._source, start, end):
            if begun < 0:
                preamble_end = match.start()
            else:
                ranges.append((begun, max(begun, self._before_line_break(match.start()))))
            if match[1]:
                return ranges, preamble_end, match.end()
            begun = match.end()
            self._budget.parts -= 1
            if self._budget.parts <= 0:
                break
        if begun >= 0:
            ranges.append((begun, end))
        return ranges, preamble_end, end

    def _before_line_break(self, position: int) -> int:
        """The line break before a delimiter belongs to the delimiter."""
        return position - (2 if self._source[position - 2 : position] == b"\r\n" else 1)

    def _leaf(self, node: Node, start: int, end: int, depth: int) -> None:
        is_large = end - start > LARGEST_COPY
        node["body"] = memoryview(self._source)[start:end] if is_large else self._source[start:end]
        node["lineCount"], node["size"] = self._source.count(b"\n", start, end), end - start
        self._leaves.append((node, start, end))
        kind, parsed = node["parsedHeader"]["content-type"], node["parsedHeader"]
        encoding = str(parsed.get("content-transfer-encoding", "")).strip().lower()
        if (
            kind["value"].lower() == "message/rfc822"
            and encoding in _IDENTITY
            and depth < DEEPEST
            and 0 < end - start <= self._budget.embedded
        ):
            self._budget.embedded -= end - start
            node["message"] = _Parser(self._source, self._budget, []).node(start, end, depth + 1)


def header_lines(section: bytes) -> list[bytes]:
    """The fields of a header section, folds included, without the line break at their end."""
    data = section.rstrip(b"\r\n")
    return _FIELD_END.split(data) if data else []


def header_fields(header: list[str]) -> Iterator[tuple[str, str]]:
    """Each field as (name in lower case, its text with the bytes read as UTF-8)."""
    for line in header:
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.encode("latin-1").decode("utf-8", "replace").strip()


def parsed_header(header: list[str], most_addresses: int = MOST_ADDRESSES) -> ParsedHeader:
    """The fields by name: text, a list of texts where a field is repeated, addresses, or type with parameters."""
    values: dict[str, list[str]] = {}
    for name, value in header_fields(header):
        if _KEY.fullmatch(name) or not name:
            values.setdefault(name, []).append(value[:LONGEST_VALUE])
    parsed: dict[str, Any] = {
        name: _value(name, given, most_addresses) for name, given in values.items() if name not in _STRUCTURED
    }
    parsed["content-type"] = parse_parameters(_last(values, "content-type") or "text/plain")
    if disposition := _last(values, "content-disposition"):
        parsed["content-disposition"] = parse_parameters(disposition)
    return parsed


def _last(values: dict[str, list[str]], name: str) -> str:
    return values[name][-1] if name in values else ""


def _value(name: str, given: list[str], most_addresses: int) -> Any:
    if name in ADDRESS_HEADERS:
        return addresses(", ".join(given), most_addresses)
    if len(given) == 1 or name in _SINGLE:
        return unfold(given[-1])
    return [*given[:-1], unfold(given[-1])]


def leaves(node: Node) -> Iterator[Node]:
    """The leaves of a tree in order, embedded messages not opened."""
    if node.get("childNodes"):
        for child in node["childNodes"]:
            yield from leaves(child)
    elif not node["multipart"]:
        yield node
