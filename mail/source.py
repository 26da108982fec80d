"""A stored tree → the bytes of the message, and the size that IMAP servers count with.

The tree alone cannot express every message: it does not know where an epilogue stood, or that the last line had
no end. For these, a layout is kept as well: literal bytes, and between them references to the bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mail.mime_tree import Node, Parsed, leaves

Layout = list[bytes | str | int]
Fetch = Callable[[str], Iterable[bytes]]

_CRLF = b"\r\n"


def stream(tree: Node, layout: Layout | None, fetch: Fetch) -> Iterator[bytes]:
    """The source in pieces. `fetch(id)` gives the encoded body of an attachment id."""
    return _laid_out(tree, layout, fetch) if layout is not None else rebuild(tree, fetch)


def _laid_out(tree: Node, layout: Layout, fetch: Fetch) -> Iterator[bytes]:
    bodies = list(leaves(tree)) if any(isinstance(item, int) for item in layout) else []
    for item in layout:
        if isinstance(item, str):
            yield from fetch(item)
        elif isinstance(item, int):
            yield bytes(bodies[item]["body"] or b"")
        else:
            yield bytes(item)


def rebuild(tree: Node, fetch: Fetch) -> Iterator[bytes]:
    """What the tree alone expresses: header, body, boundaries, each apart by CRLF."""
    yield _CRLF.join(line.encode("latin-1") for line in tree["header"]) + _CRLF
    yield _CRLF
    if not tree["multipart"]:
        yield from _body(tree, fetch)
        return
    boundary = b"--" + str(tree["boundary"]).encode()
    yield bytes(tree["body"] or b"") + boundary
    for number, child in enumerate(tree.get("childNodes", ())):
        if number:
            yield _CRLF + boundary
        yield _CRLF
        yield from rebuild(child, fetch)
    yield _CRLF + boundary + b"--" + _CRLF


def _body(node: Node, fetch: Fetch) -> Iterable[bytes]:
    return fetch(node["attachmentId"]) if node.get("attachmentId") else [bytes(node["body"] or b"")]


def size(tree: Node) -> int:
    """Bytes of the message as IMAP counts them: the rebuilt form, where an empty body counts nothing."""
    return sum(_blocks(tree)) + 2 * (sum(1 for _ in _blocks(tree)) - 1)


def _blocks(node: Node) -> Iterator[int]:
    yield sum(len(line) for line in node["header"]) + 2 * max(len(node["header"]) - 1, 0) + 2
    if not node["multipart"]:
        if node["size"]:
            yield node["size"]
        return
    boundary = len(str(node["boundary"]).encode()) + 2
    yield node["size"] + boundary
    for number, child in enumerate(node.get("childNodes", ())):
        if number:
            yield boundary
        yield from _blocks(child)
    yield boundary + 4


def layout_of(parsed: Parsed, reference: Callable[[Node, int], str | int]) -> Layout:
    """The layout of a message just parsed; `reference(leaf, position)` is its attachment id or its position."""
    layout: Layout = []
    end = 0
    for position, (node, start, stop) in enumerate(parsed.leaves):
        layout += [parsed.source[end:start], reference(node, position)]
        end = stop
    layout.append(parsed.source[end:])
    return [item for item in layout if item != b""]


def literal_bytes(layout: Layout) -> int:
    """How much of a layout is literal."""
    return sum(len(item) for item in layout if isinstance(item, bytes))
