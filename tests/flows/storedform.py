"""The form of a stored message, type by type, as the description of the shared database has it.

Like the view of it that IMAP gives, written from the description alone: nothing here may import `mail`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import Int64, ObjectId

Node = dict[str, Any]

# What PyMongo makes of BSON tells types apart: `int` is Int32, `bytes` is Binary of subtype 0.
ALWAYS: Mapping[str, Any] = {
    "_id": ObjectId, "root": ObjectId, "v": str, "user": ObjectId, "mailbox": ObjectId, "thread": ObjectId,
    "uid": int, "modseq": int, "size": int, "magic": int, "idate": datetime, "hdate": datetime, "flags": list,
    "unseen": bool, "undeleted": bool, "flagged": bool, "draft": bool, "ha": bool, "exp": bool, "userDeleted": bool,
    "copied": bool, "mimeTree": dict, "envelope": list, "bodystructure": list, "headers": list, "meta": dict,
    "filters": list, "msgid": str, "subject": str, "retention": (int, Int64), "retentionTime": Int64,
}  # fmt: skip
AT_TIMES: Mapping[str, Any] = {
    "searchable": bool, "junk": bool, "attachments": list, "intro": str, "text": str, "textFooter": str, "html": list,
    "rdate": Int64, "verificationResults": dict, "outbound": list, "forwardTargets": list, "mallard": dict,
}  # fmt: skip
ATTACHMENT: Mapping[str, Any] = {
    "id": str, "filename": str, "contentType": str, "disposition": (str, bool), "transferEncoding": str,
    "cid": (str, type(None)), "related": bool, "sizeKb": int, "size": int, "fileContentHash": str,
}  # fmt: skip
NODE: Mapping[str, Any] = {
    "header": list, "parsedHeader": dict, "body": (bytes, bool), "multipart": (str, bool), "boundary": (str, bool),
    "lineCount": int, "size": int,
}  # fmt: skip
NODE_AT_TIMES: Mapping[str, Any] = {
    "childNodes": list,
    "message": dict,
    "attachmentId": str,
    "attachmentMap": dict,
}
FILE: Mapping[str, Any] = {
    "_id": bytes, "length": int, "chunkSize": int, "uploadDate": datetime, "filename": type(None), "contentType": str,
    "metadata": dict,
}  # fmt: skip
FILE_METADATA: Mapping[str, Any] = {
    "m": int,
    "c": int,
    "cu": datetime,
    "esize": int,
    "transferEncoding": str,
}
CHUNK: Mapping[str, Any] = {"_id": ObjectId, "files_id": bytes, "n": int, "data": bytes}
JOURNAL: Mapping[str, Any] = {
    "_id": ObjectId, "user": ObjectId, "mailbox": ObjectId, "command": str, "modseq": int, "created": datetime,
}  # fmt: skip
JOURNAL_OF: Mapping[str, Mapping[str, Any]] = {
    "EXISTS": {"uid": int, "message": ObjectId, "thread": ObjectId, "unseen": bool, "idate": datetime},
    "EXPUNGE": {"uid": int, "message": ObjectId, "thread": ObjectId, "unseen": bool},
    "FETCH": {"uid": int, "message": ObjectId, "thread": ObjectId, "flags": list, "unseenChange": bool},
    "CREATE": {"path": str},
    "RENAME": {"path": str},
    "DELETE": {},
}
ADDRESSES = {"from", "sender", "reply-to", "to", "cc", "bcc"}
SINGLE = {"in-reply-to", "message-id", "content-transfer-encoding", "content-id", "content-description",
          "content-language", "content-md5", "content-location"}  # fmt: skip
STRUCTURED = {"content-type", "content-disposition"}
TEXT = (str, bytes, type(None))
WORD = (str, bytes)


def check_form(document: Mapping[str, Any]) -> None:
    """Fails where a field is missing, is one too many, or has another type."""
    check_fields(document, ALWAYS, AT_TIMES)
    flags = set(document["flags"])
    mirrors = {"\\Seen": not document["unseen"], "\\Deleted": not document["undeleted"],
               "\\Flagged": document["flagged"], "\\Draft": document["draft"]}  # fmt: skip
    assert {flag for flag, is_set in mirrors.items() if is_set} == flags & set(mirrors)
    assert document.get("searchable") == (None if "\\Deleted" in flags else True)
    assert document.get("junk") in (None, True)
    assert document["exp"] == ("rdate" in document)
    assert 0 <= document["magic"] < 65536
    check_tree(document["mimeTree"])
    check_attachments(document)
    check_envelope(document["envelope"])
    check_structure(document["bodystructure"], document["mimeTree"])
    for header in document["headers"]:
        check_fields(header, {"key": str, "value": str}, {})
        assert len(header["value"].encode()) <= 880


def check_fields(given: Mapping[str, Any], always: Mapping[str, Any], at_times: Mapping[str, Any]) -> None:
    known = {**always, **at_times}
    assert not set(always) - set(given), set(always) - set(given)
    assert not set(given) - set(known), set(given) - set(known)
    for name, value in given.items():
        kinds = known[name] if isinstance(known[name], tuple) else (known[name],)
        assert type(value) in kinds, (name, value)


def check_file(file: Mapping[str, Any]) -> None:
    """A file of the bucket of attachments. The content type stands at the top, where downloads read it."""
    check_fields(file, FILE, {})
    more = {"decoded": bool, "lineLen": int, "fileContentHash": str}
    check_fields(file["metadata"], FILE_METADATA, more)
    assert file["metadata"].get("decoded") in (None, True)
    assert ("decoded" in file["metadata"]) == ("lineLen" in file["metadata"])
    assert (len(file["_id"]), file["chunkSize"]) == (32, 255 * 1024)


def check_entry(entry: Mapping[str, Any]) -> None:
    """An entry of the journal."""
    given = {name: value for name, value in entry.items() if name not in JOURNAL_OF[entry["command"]]}
    check_fields(given, JOURNAL, {"junk": int, "markHam": bool})
    wanted = {name: entry.get(name) for name in JOURNAL_OF[entry["command"]]}
    check_fields(wanted, JOURNAL_OF[entry["command"]], {})


def check_tree(root: Node) -> None:
    assert all(len(file) == 32 and type(file) is bytes for file in root["attachmentMap"].values())
    named = [node["attachmentId"] for node in nodes(root) if "attachmentId" in node]
    assert sorted(named) == sorted(set(root["attachmentMap"]) - {"SOURCE"})
    for node in nodes(root):
        check_node(node)
        assert ("attachmentMap" in node) == (node is root)


def nodes(node: Node) -> list[Node]:
    """The node and all below it, embedded messages too."""
    below = [*node.get("childNodes", ()), *([node["message"]] if "message" in node else [])]
    return [node, *(one for child in below for one in nodes(child))]


def check_node(node: Node) -> None:
    check_fields(node, NODE, NODE_AT_TIMES)
    assert bool(node["multipart"]) == bool(node["boundary"]) == ("childNodes" in node)
    assert (node["body"] is False) == ("attachmentId" in node)
    assert node["body"] is not True
    if type(node["body"]) is bytes:
        assert (len(node["body"]), node["body"].count(b"\n")) == (node["size"], node["lineCount"])
    for line in node["header"]:
        line.encode("latin-1")
    assert "content-type" in node["parsedHeader"]
    for name, value in node["parsedHeader"].items():
        check_header(name, value)


def check_header(name: str, value: Any) -> None:
    if name in ADDRESSES:
        for entry in value:
            check_fields(entry, {"name": str}, {"address": str, "group": list})
            assert ("address" in entry) != ("group" in entry)
            check_header(name, entry.get("group", []))
    elif name in STRUCTURED:
        always = {"value": str, "type": str, "subtype": str, "params": dict}
        check_fields(value, always, {"hasParams": bool})
        assert value["type"] == value["type"].lower()
        assert all(type(text) is str and key == key.lower() for key, text in value["params"].items())
        assert value.get("hasParams") == (True if value["params"] else None)
    elif name in SINGLE or type(value) is str:
        assert type(value) is str, (name, value)
    else:
        assert len(value) > 1
        assert all(type(text) is str for text in value), (name, value)


def check_attachments(document: Mapping[str, Any]) -> None:
    attachments = document.get("attachments")
    assert attachments != [], "absent where there are none"
    for attachment in attachments or ():
        check_fields({"fileContentHash": "", **attachment}, ATTACHMENT, {})
        assert attachment["disposition"] is not True
        assert attachment["id"] in document["mimeTree"]["attachmentMap"]
    assert document["ha"] == any(not attachment["related"] for attachment in attachments or ())


def check_envelope(envelope: list[Any]) -> None:
    """RFC 3501 §9: date, subject, six lists of addresses, In-Reply-To, Message-ID."""
    assert len(envelope) == 10
    assert type(envelope[1]) is bytes
    assert all(type(envelope[number]) in TEXT for number in (0, 8, 9))
    for addresses in envelope[2:8]:
        assert addresses is None or addresses
        for entry in addresses or ():
            assert [type(part) in (bytes, type(None)) for part in entry] == [True] * 4


def check_structure(given: list[Any], node: Node) -> None:
    """Each node's structure beside the node (RFC 3501 §7.4.2)."""
    if node["multipart"]:
        children = node["childNodes"]
        for structure, child in zip(given, children, strict=False):
            check_structure(structure, child)
        subtype, parameters, *extension = given[len(children) :]
        assert type(subtype) in WORD
    else:
        kind, subtype, parameters, *more = given
        assert {type(kind), type(subtype)} <= set(WORD)
        assert all(type(text) in TEXT for text in more[:2])
        assert type(more[2]) in WORD
        assert more[3] == node["size"]
        extension = check_end_of_leaf(kind, more[4:], node)
    check_parameters(parameters)
    disposition, language, location = extension
    if disposition is not None:
        assert type(disposition[0]) in WORD
        check_parameters(disposition[1])
    assert language is None or (language and all(type(word) in WORD for word in language))
    assert type(location) in TEXT


def check_end_of_leaf(kind: Any, rest: list[Any], node: Node) -> list[Any]:
    """What follows the size, up to the extension that all nodes have."""
    if "message" in node:
        envelope, structure, lines, *rest = rest
        check_envelope(envelope)
        check_structure(structure, node["message"])
        assert lines == node["lineCount"]
    elif kind == "TEXT":
        assert rest.pop(0) == node["lineCount"]
    assert type(rest[0]) in TEXT
    return rest[1:]


def check_parameters(given: list[Any] | None) -> None:
    assert given is None or (given and len(given) % 2 == 0)
    for name, value in zip((given or [])[::2], (given or [])[1::2], strict=True):
        assert type(name) is str
        assert name == name.upper()
        assert type(value) is bytes
