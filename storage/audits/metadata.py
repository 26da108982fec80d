"""What an audit knows of a copy, in the fields of WildDuck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bson import ObjectId

from mail.headers import decoded_addresses, flat_addresses
from security.normalize import domain_of, normalize_address
from storage.base.database import Document

_ADDRESS_FIELDS = ("from", "to", "cc", "bcc")


def metadata_of(
    audit: ObjectId, message: Mapping[str, Any], paths: Mapping[ObjectId, str], *, imported: bool = False
) -> Document:
    """`message` is a document of `messages` or `archived`; without `mailbox` it is one that a filter dropped."""
    header = message["mimeTree"]["parsedHeader"]
    fields: Document = {
        "audit": audit,
        "date": message["idate"],
        "msgid": message.get("msgid"),
        "header": header,
        "subject": message.get("subject") or "",
        "addresses": list(_addresses(header)),
        "ha": bool(message.get("ha")),
        "info": _info(message),
        "mallard": {"message": message["_id"]},
    }
    if "mailbox" in message:
        fields.update(mailbox=message["mailbox"], mailboxPath=paths.get(message["mailbox"], False))
    else:
        fields["info"]["notStored"] = True
    if imported:
        fields.update(draft=bool(message.get("draft")), imported=True)
    return fields


def _info(message: Mapping[str, Any]) -> Document:
    """What it was queued as when it was sent, too: what the MTA reports of it is found by that."""
    info: Document = dict(message.get("meta") or {})
    queued = message.get("outbound")
    if queued and not info.get("queueId"):
        info["queueId"] = queued[0] if isinstance(queued, list) and len(queued) == 1 else queued
    return info


def _addresses(header: Mapping[str, Any]) -> Iterator[Document]:
    for kind in _ADDRESS_FIELDS:
        entries = header.get(kind)
        for entry in flat_addresses(decoded_addresses(entries if isinstance(entries, list) else ())):
            given = entry["address"]
            normal = normalize_address(given)
            address = normal if domain_of(normal) else given
            yield {"name": entry.get("name") or "", "address": address, "type": kind}
