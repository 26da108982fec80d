"""A stored message as the IMAP server beside us gives it out.

Written from the description of the store and from RFC 3501, and not from our own code, which it is to prove: nothing
here may import `mail`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from bson import Binary
from gridfs import GridFSBucket
from gridfs.errors import NoFile
from pymongo.database import Database

from tests.rows import Row

Node = dict[str, Any]
CRLF = b"\r\n"
CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class ImapView:
    """The items of FETCH for one document of `messages`."""

    def __init__(self, document: Row, database: Database[dict[str, Any]]) -> None:
        self.document = document
        self.root: Node = document["mimeTree"]
        self._bucket = GridFSBucket(database, "attachments")

    def state(self) -> str:
        """UID, MODSEQ (RFC 7162), FLAGS and INTERNALDATE as they are sent."""
        uid, modseq, date = (self.document[name] for name in ("uid", "modseq", "idate"))
        flags = " ".join(self.document["flags"])
        return f'UID {uid} MODSEQ ({modseq}) FLAGS ({flags}) INTERNALDATE "{date:%d-%b-%Y %H:%M:%S} +0000"'

    @property
    def size(self) -> int:
        """RFC822.SIZE."""
        return int(self.document["size"])

    def counted(self) -> int:
        """The same, from the tree: the blocks with what is between them, an empty body being none."""
        lengths = [len(block) for node, block in self._blocks(self.root, read=False) if node is None or block]
        return sum(lengths) + 2 * (len(lengths) - 1)

    def body(self) -> bytes:
        """BODY[]: cut or filled up to the size that was promised."""
        return self.whole()[: self.size].ljust(self.size)

    def whole(self) -> bytes:
        """The blocks between line breaks."""
        return CRLF.join(block for _, block in self._blocks(self.root, read=True))

    def header(self) -> bytes:
        """BODY[HEADER]."""
        return self._header(self.root) + CRLF

    def _header(self, node: Node) -> bytes:
        return CRLF.join(field.encode("latin-1") for field in node["header"]) + CRLF

    def _blocks(self, node: Node, *, read: bool) -> Iterator[tuple[Node | None, bytes]]:
        """Each block, the bodies of leaves with their node; unread they are of the right length only."""
        yield None, self._header(node)
        if not node["multipart"]:
            yield node, self.content(node) if read else bytes(node["size"])
            return
        mark = b"--" + node["boundary"].encode()
        yield None, bytes(node["body"] or b"") + mark
        for number, child in enumerate(node.get("childNodes") or ()):
            if number:
                yield None, mark
            yield from self._blocks(child, read=read)
        yield None, mark + b"--" + CRLF

    def content(self, node: Node) -> bytes:
        """The encoded body of a leaf, from the tree or from the bucket."""
        if not node.get("attachmentId"):
            return bytes(node["body"] or b"")
        file_id = self.root["attachmentMap"][node["attachmentId"]]
        try:
            stream = self._bucket.open_download_stream(Binary(file_id))
        except NoFile:
            return b" " * node["size"]
        data = stream.read()
        metadata = stream.metadata or {}
        if not metadata.get("decoded"):
            return data
        text, length = b64encode(data), metadata["lineLen"]
        return CRLF.join(text[start : start + length] for start in range(0, len(text), length))

    def node(self, path: str) -> Node:
        """The node of a section: `1` of a message without parts is its body (RFC 3501 §6.4.5)."""
        node = self.root
        for level, number in enumerate(map(int, path.split("."))):
            node = node["message"] if level and node.get("message") else node
            node = node["childNodes"][number - 1] if node["multipart"] else node
        return node

    def part(self, path: str) -> bytes:
        """BODY[1], BODY[2.1] …"""
        return self.content(self.node(path))

    def mime(self, path: str) -> bytes:
        """BODY[1.MIME]."""
        return self._header(self.node(path)) + CRLF

    def leaves(self, *, opened: bool = False) -> Iterator[str]:
        """The sections of all leaves; embedded messages are one, or `opened` those of their parts."""
        yield from self._leaves(self.root, "", opened)

    def _leaves(self, node: Node, prefix: str, opened: bool) -> Iterator[str]:
        children = node["childNodes"] if node["multipart"] else [node]
        for number, child in enumerate(children, 1):
            path = f"{prefix}{number}"
            inner = child if child["multipart"] else child.get("message") if opened else None
            yield from self._leaves(inner, f"{path}.", opened) if inner else [path]


def shape(structure: list[Any]) -> Any:
    """BODYSTRUCTURE without sizes and parameters: `[subtype, part, …]`, or `type/subtype` of a leaf."""
    if structure and isinstance(structure[0], list):
        parts = []
        for item in structure:
            if not isinstance(item, list):
                return [item.lower(), *parts]
            parts.append(shape(item))
    kind = f"{structure[0]}/{structure[1]}".lower() if structure else "nothing"
    return (
        [kind, shape(structure[8])] if kind == "message/rfc822" and isinstance(structure[7], list) else kind
    )


def leaf_structures(structure: list[Any]) -> Iterator[list[Any]]:
    """The structures of all leaves in order, embedded messages not opened."""
    if not isinstance(structure[0], list):
        yield structure
        return
    for item in structure:
        if not isinstance(item, list):
            return
        if item:
            yield from leaf_structures(item)


def wire(item: Any) -> str:
    """An item as an IMAP server writes it (RFC 3501 §4, §9); fails for what IMAP has no form for."""
    if item is None:
        return "NIL"
    if isinstance(item, bool) or not isinstance(item, (int, str, bytes, list)):
        raise TypeError(f"{item!r} has no form in IMAP")
    if isinstance(item, int):
        return str(item)
    if isinstance(item, list):
        return "(" + " ".join(map(wire, item)) + ")"
    if isinstance(item, str) and not item.isascii():
        raise ValueError(f"{item!r} would be garbled: text that is no ASCII is stored as bytes")
    text = item.decode() if isinstance(item, bytes) else item
    if CONTROLS.search(text):
        raise ValueError(f"{text!r} would break the line of the answer")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
