"""A request's fields → a message and its envelope, for uploads and submissions alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bson import ObjectId

from delivery.sending.policy import OwnAddresses
from mail.compose import (
    Attachment,
    ComposeError,
    Draft,
    Mailbox,
    ascii_address,
    compose,
)
from mail.encodings import decode_content
from mail.pictures import extract_data_images
from mail.reply import Reference, refer
from problems import AttachmentNotFound, InvalidInput
from storage.accounts.documents import User
from storage.base.database import Document
from storage.store import Store

_OF_REFERENCE = {"mimeTree": 1, "attachments": 1, "subject": 1, "thread": 1, "mailbox": 1, "uid": 1}
_ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]+@[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]+")
_LARGEST_HTML = 1_048_576


@dataclass(frozen=True, slots=True)
class Referred:
    """The message that a draft answers or forwards, and what follows from it."""

    message: Document
    action: str
    reference: Reference

    def stored(self) -> Document:
        """What the draft remembers of it, so that the flags can be set when it is sent."""
        return {"action": self.action, "mailbox": str(self.message["mailbox"]), "id": self.message["uid"]}


@dataclass(frozen=True, slots=True)
class Composed:
    """A message with whom it goes to."""

    raw: bytes
    sender: str
    recipients: list[str]


@dataclass(frozen=True, slots=True)
class Extras:
    """What is attached besides the request's own attachments, and what is remembered of kept files."""

    attachments: list[Attachment] = field(default_factory=list)
    files: list[Document] = field(default_factory=list)


def referred(store: Store, user: User, given: Document | None) -> Referred | None:
    """The message that `reference` names. Raises MessageNotFound."""
    if not given:
        return None
    message = store.messages.find(user["_id"], given["mailbox"], given["id"], _OF_REFERENCE)
    own = OwnAddresses(store, user)
    reference = refer(message["mimeTree"]["parsedHeader"], given["action"], own.__contains__)
    return Referred(message, given["action"], reference)


def mailbox_of(given: Document | None) -> Mailbox | None:
    """`{name, address}` as a mailbox; None without an address."""
    if not given or not given.get("address"):
        return None
    return Mailbox(str(given.get("name") or ""), str(given["address"]))


def mailboxes_of(given: Sequence[Document] | None) -> list[Mailbox]:
    """Those of a list that have an address; what is none must not become several in a header."""
    found = (mailbox_of(entry) for entry in given or ())
    return [mailbox for mailbox in found if mailbox and _ADDRESS.fullmatch(mailbox.address)]


def build(
    body: Document,
    *,
    sender: Mailbox,
    date: datetime,
    keep_bcc: bool,
    source: Referred | None,
    extras: Extras,
    offload: Callable[..., Any],
) -> Composed:
    """Compose what a request describes. Raises InvalidInput that names the field."""
    try:
        draft = _draft(body, sender, date, source, extras)
        visible = draft if keep_bcc else replace(draft, bcc=())
        raw = offload(compose, visible)
    except ComposeError as error:
        raise InvalidInput({error.path: str(error)}) from error
    everybody = [*draft.to, *draft.cc, *draft.bcc]
    return Composed(raw, sender.address, unique_addresses(m.address for m in everybody))


def _draft(body: Document, sender: Mailbox, date: datetime, source: Referred | None, extras: Extras) -> Draft:
    html, pictures = extract_data_images(
        body.get("html") or "", sender.address.rpartition("@")[2] or "localhost"
    )
    if len(html) > _LARGEST_HTML:
        raise ComposeError(
            "html", f'"html" length must be less than or equal to {_LARGEST_HTML} characters long'
        )
    to, cc, bcc = (mailboxes_of(body.get(name)) for name in ("to", "cc", "bcc"))
    if source and not (to or cc or bcc) and "to" not in body:
        to, cc = list(source.reference.to), list(source.reference.cc)
    own = [_attachment(given, number) for number, given in enumerate(body.get("attachments") or ())]
    return Draft(
        sender=sender,
        date=date,
        reply_to=mailbox_of(body.get("replyTo")),
        to=to,
        cc=cc,
        bcc=bcc,
        subject=body.get("subject") or (source.reference.subject if source else ""),
        text=body.get("text") or "",
        html=html,
        attachments=[*extras.attachments, *own, *pictures],
        headers=[*(source.reference.headers if source else ()), *_headers(body)],
    )


def _headers(body: Document) -> list[tuple[str, str]]:
    return [(h["key"], h["value"]) for h in body.get("headers") or () if h.get("key") and h.get("value")]


def _attachment(given: Document, number: int) -> Attachment:
    path = f"attachments,{number},content"
    return Attachment(
        decode_content(given["content"], given.get("encoding") or "base64", path),
        str(given.get("filename") or ""),
        str(given.get("contentType") or ""),
        str(given.get("cid") or ""),
        str(given.get("contentDisposition") or ""),
    )


def unique_addresses(addresses: Any) -> list[str]:
    """Addresses with their domains in punycode, each once."""
    return list(dict.fromkeys(ascii_address(address) for address in addresses if address))


def extras_of(store: Store, user: ObjectId, body: Document, source: Referred | None) -> Extras:
    """Attachments of the message referred to, and kept files. Raises FileNotFound or AttachmentNotFound."""
    attachments = _of_source(store, source, (body.get("reference") or {}).get("attachments"))
    files = store.files.of_user(user, body.get("files") or ())
    kept = [_kept(store, file) for file in files]
    return Extras(attachments + kept, [_remembered(file) for file in files])


def _of_source(store: Store, source: Referred | None, wanted: Any) -> list[Attachment]:
    if not source or not wanted:
        return []
    listed = source.message.get("attachments") or []
    if wanted is True:
        chosen = [attachment for attachment in listed if not attachment["related"]]
    else:
        ids = {str(name).upper() for name in wanted}
        chosen = [attachment for attachment in listed if attachment["id"] in ids]
        if len(chosen) < len(ids):
            raise AttachmentNotFound
    return [_copied(store, source.message, attachment) for attachment in chosen]


def _copied(store: Store, message: Document, attachment: Document) -> Attachment:
    kind, _, chunks = store.messages.attachment(message, attachment["id"])
    cid = str(attachment.get("cid") or "").strip("<>")
    return Attachment(b"".join(chunks), attachment["filename"], kind, cid)


def _kept(store: Store, file: Document) -> Attachment:
    cid = str((file.get("metadata") or {}).get("cid") or "")
    return Attachment(store.files.content(file), file["filename"], str(file.get("contentType") or ""), cid)


def _remembered(file: Document) -> Document:
    return {
        "id": str(file["_id"]),
        "filename": file["filename"],
        "contentType": file.get("contentType"),
        "size": file["length"],
        "cid": (file.get("metadata") or {}).get("cid"),
    }
