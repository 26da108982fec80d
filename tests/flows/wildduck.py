"""Messages as the original stores them, put straight into the database.

Made by hand from the description of the store, with the types that its driver gives to numbers (whole ones are Int32,
milliseconds are doubles) and `null` where it had nothing. Nothing here may import `mail`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import getaddresses
from hashlib import sha256
from typing import Any

from bson import Binary, ObjectId
from pymongo.database import Database

from tests.rows import Row

Node = dict[str, Any]

ADDRESSES = {"from", "sender", "reply-to", "to", "cc", "bcc"}
CAME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CHUNK = 261_120
MAGIC = 4711


@dataclass
class File:
    """A body in the bucket; `lines` is the length of the base64 lines that it was decoded from."""

    encoded: bytes
    kind: str
    encoding: str = "base64"
    lines: int | None = 76
    id: Any = None

    def put(self, bucket: Database[dict[str, Any]], magic: int) -> Any:
        """Store it; returns its id."""
        file_id = self.id or Binary(sha256(self.encoded).digest())
        data = b64decode(self.encoded) if self.lines else self.encoded
        metadata: Row = {"m": magic, "c": 1, "cu": CAME, "esize": len(self.encoded)}
        metadata["transferEncoding"] = self.encoding
        if self.lines:
            metadata |= {"decoded": True, "lineLen": self.lines}
        row = {"_id": file_id, "length": len(data), "chunkSize": CHUNK, "uploadDate": CAME, "filename": None}
        bucket["attachments.files"].insert_one(row | {"contentType": self.kind, "metadata": metadata})
        for number, start in enumerate(range(0, len(data), CHUNK)):
            part = Binary(data[start : start + CHUNK])
            bucket["attachments.chunks"].insert_one(
                {"_id": ObjectId(), "files_id": file_id, "n": number, "data": part}
            )
        return file_id


@dataclass
class Stored:
    """One message: its tree, the files of its parts, and fields of its own."""

    tree: Node
    files: dict[str, File] = field(default_factory=dict)
    fields: Row = field(default_factory=dict)
    absent: Sequence[str] = ()


def leaf(header: Sequence[str], body: bytes, attachment_id: Any = None, message: Node | None = None) -> Node:
    """A part without parts; with an attachment id its body is in the bucket."""
    node: Node = {
        "header": list(header),
        "parsedHeader": parsed(header),
        "body": False if attachment_id else Binary(body),
        "multipart": False,
        "boundary": False,
        "lineCount": body.count(b"\n"),
        "size": len(body),
    }
    more = {"attachmentId": attachment_id, "message": message}
    return node | {name: value for name, value in more.items() if value}


def branch(header: Sequence[str], *children: Node, preamble: bytes = b"") -> Node:
    """A multipart; what stands before its first part is its body."""
    kind = parsed(header)["content-type"]
    return {
        "header": list(header),
        "parsedHeader": parsed(header),
        "body": Binary(preamble),
        "multipart": kind["subtype"],
        "boundary": kind["params"]["boundary"],
        "lineCount": preamble.count(b"\n"),
        "size": len(preamble),
        "childNodes": list(children),
    }


def parsed(header: Sequence[str]) -> Row:
    """The fields by name, in the shapes of the original."""
    values: Row = {}
    for line in header:
        name, _, value = line.partition(":")
        value = " ".join(value.encode("latin-1").decode().split())
        known = values.get(name.lower())
        values[name.lower()] = (
            value if known is None else [*([known] if isinstance(known, str) else known), value]
        )
    values["content-type"] = structured(values.get("content-type", "text/plain"))
    if "content-disposition" in values:
        values["content-disposition"] = structured(values["content-disposition"])
    for name in ADDRESSES & set(values):
        values[name] = [
            {"address": address, "name": person} for person, address in getaddresses([values[name]])
        ]
    return values


def structured(text: str) -> Row:
    message = Message()
    message["Content-Type"] = text
    (value, _), *params = message.get_params() or [(text, "")]
    kind, _, subtype = value.partition("/")
    found: Row = {"value": value, "type": kind.lower(), "subtype": subtype, "params": dict(params)}
    return found | ({"hasParams": True} if params else {})


def attachment(
    number: int, filename: str, file: File, *, related: bool = False, cid: str | None = None
) -> Row:
    """An entry of `attachments`."""
    return {
        "id": f"ATT{number:05d}",
        "filename": filename,
        "contentType": file.kind,
        "disposition": "inline" if related else "attachment",
        "transferEncoding": file.encoding,
        "related": related,
        "sizeKb": -(-len(file.encoded) // 1024),
        "size": len(file.encoded),
        "cid": cid,
    }


def blocks(node: Node) -> int:
    """`size`: the blocks with a line break between each two, where an empty body is none."""
    return sum(lengths := list(_lengths(node))) + 2 * (len(lengths) - 1)


def _lengths(node: Node) -> list[int]:
    header = sum(map(len, node["header"])) + 2 * max(len(node["header"]), 1)
    if not node["multipart"]:
        return [header, *([node["size"]] if node["size"] else [])]
    mark = len(node["boundary"]) + 2
    found = [header, node["size"] + mark]
    for number, child in enumerate(node["childNodes"]):
        found += ([mark] if number else []) + _lengths(child)
    return [*found, mark + 4]


class Original:
    """Stores as the original does: a UID and a sequence first, then the message, then the journal."""

    def __init__(self, main: Database[dict[str, Any]], bucket: Database[dict[str, Any]]) -> None:
        self.main = main
        self.bucket = bucket

    def add(self, user: ObjectId, mailbox: ObjectId, stored: Stored) -> Row:
        """Store a message; returns its document."""
        tree = {**stored.tree, "attachmentMap": {}}
        for name, file in stored.files.items():
            tree["attachmentMap"][name] = file.put(self.bucket, MAGIC)
        place = self.main["mailboxes"].find_one_and_update(
            {"_id": mailbox}, {"$inc": {"uidNext": 1, "modifyIndex": 1}}
        )
        assert place
        document = self._document(user, mailbox, tree, stored.fields)
        document |= {"uid": place["uidNext"], "modseq": place["modifyIndex"] + 1}
        document = {name: value for name, value in document.items() if name not in stored.absent}
        if "attachmentMap" in stored.absent:
            del document["mimeTree"]["attachmentMap"]
        self.main["users"].update_one({"_id": user}, {"$inc": {"storageUsed": document["size"]}})
        self.main["messages"].insert_one(document)
        entry = {
            name: document[name] for name in ("user", "mailbox", "uid", "modseq", "unseen", "idate", "thread")
        }
        more = {"command": "EXISTS", "message": document["_id"], "created": datetime.now(UTC), "ignore": None}
        self.main["journal"].insert_one({**entry, **more})
        return document

    def _document(self, user: ObjectId, mailbox: ObjectId, tree: Node, fields: Row) -> Row:
        headers, message_id = tree["parsedHeader"], ObjectId()
        flags = fields.get("flags", [])
        related = [entry["related"] for entry in fields.get("attachments") or ()]
        return {
            "_id": message_id, "root": message_id, "v": "1.0", "user": user, "mailbox": mailbox, "idate": CAME,
            "hdate": CAME, "size": blocks(tree), "magic": MAGIC, "mimeTree": tree, "msgid": headers["message-id"],
            "headers": indexed(headers), "flags": flags, "unseen": "\\Seen" not in flags,
            "undeleted": "\\Deleted" not in flags, "flagged": "\\Flagged" in flags, "draft": "\\Draft" in flags,
            "searchable": True, "ha": not all(related), "thread": self._thread(user, fields), "exp": False,
            "retention": 0, "retentionTime": CAME.timestamp() * 1000, "userDeleted": False, "copied": False,
            "filters": [], "envelope": envelope(headers, fields["subject"]), "bodystructure": [],
            "verificationResults": None, "outbound": None, "forwardTargets": None,
            "meta": {"source": "MX", "from": "bounce@example.org", "to": ["ada@example.com"], "origin": "192.0.2.1",
                     "originhost": "[192.0.2.1]", "transhost": "mx", "transtype": "ESMTPS", "time": CAME},
            **fields,
        }  # fmt: skip

    def _thread(self, user: ObjectId, fields: Row) -> ObjectId:
        thread = fields.get("thread") or ObjectId()
        row = {"user": user, "subject": fields["subject"], "ids": ["x" * 27], "updated": CAME}
        self.main["threads"].update_one({"_id": thread}, {"$setOnInsert": row}, upsert=True)
        return ObjectId(thread)


def indexed(headers: Row) -> list[Row]:
    """The headers that searches go by, in lower case."""
    people = {
        name: ", ".join(f"{one['name']} <{one['address']}>" for one in headers[name])
        for name in ADDRESSES & set(headers)
    }
    plain = {name: headers[name] for name in ("subject", "message-id") if name in headers}
    return [{"key": name, "value": value.lower()} for name, value in {**people, **plain}.items()]


def envelope(headers: Row, subject: str) -> list[Any]:
    """ENVELOPE with Binary for what may be no ASCII."""

    def people(name: str) -> list[Any] | None:
        found = [
            [Binary(one["name"].encode()), None, *halves(one["address"])] for one in headers.get(name) or ()
        ]
        return found or None

    lists = [people("from"), people("from"), people("from"), people("to"), people("cc"), people("bcc")]
    return [headers.get("date"), Binary(subject.encode()), *lists, None, headers["message-id"]]


def halves(address: str) -> list[Binary]:
    return [Binary(half.encode()) for half in address.split("@")]


def lines(data: bytes, length: int = 76) -> bytes:
    """base64 in lines, without a break at the end."""
    text = b64encode(data)
    return b"\r\n".join(text[start : start + length] for start in range(0, len(text), length))
