"""A request's fields, or a stored draft → a message and its envelope, for uploads and submissions alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import format_datetime
from typing import Any, TypeAlias, TypedDict

from bson import ObjectId

from delivery.sending.enqueue import with_id
from delivery.sending.policy import OwnAddresses, permitted_sender, under_own_name
from mail.compose import (
    Attachment,
    ComposeError,
    Draft,
    Mailbox,
    ascii_address,
    compose,
)
from mail.content import AttachmentInfo
from mail.domains import is_domain
from mail.encodings import decode_content
from mail.headers import flat_addresses
from mail.pictures import extract_data_images
from mail.reply import Reference, refer
from mail.rewrite import split, with_field
from problems import AttachmentNotFound, InvalidInput
from security.offload import Offload
from storage.accounts.documents import User
from storage.messages.documents import KeptFile, Message
from storage.store import Store

_OF_REFERENCE = {"mimeTree": 1, "attachments": 1, "subject": 1, "thread": 1, "mailbox": 1, "uid": 1}
_ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]+@[^\s\x00-\x1f\x7f@<>()\[\],;:\\\"]+")
_LARGEST_HTML = 1_048_576

Fields: TypeAlias = Mapping[str, Any]
"""What a request says of a message (people, subject, texts, attachments), after the contract's checks."""


class StoredReference(TypedDict):
    """What a draft remembers of the message that it answers or forwards."""

    action: str  # `reply`, `replyAll` or `forward`
    mailbox: str  # its id
    id: int  # the UID


class StoredFile(TypedDict):
    """What a draft remembers of a kept file that is attached to it."""

    id: str
    filename: str
    contentType: str | None
    size: int
    cid: str | None


@dataclass(frozen=True, slots=True)
class Referred:
    """The message that a draft answers or forwards, and what follows from it."""

    message: Message
    action: str
    reference: Reference

    def stored(self) -> StoredReference:
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
    files: list[StoredFile] = field(default_factory=list)


def referred(store: Store, user: User, given: Fields | None) -> Referred | None:
    """The message that `reference` names. Raises MessageNotFound."""
    if not given:
        return None
    message = store.messages.find(user["_id"], given["mailbox"], given["id"], _OF_REFERENCE)
    own = OwnAddresses(store, user)
    reference = refer(message["mimeTree"]["parsedHeader"], given["action"], own.__contains__)
    return Referred(message, given["action"], reference)


def mailbox_of(given: Mapping[str, str] | None) -> Mailbox | None:
    """`{name, address}` as a mailbox; None without an address."""
    if not given or not given.get("address"):
        return None
    return Mailbox(str(given.get("name") or ""), str(given["address"]))


def mailboxes_of(given: Sequence[Mapping[str, str]] | None) -> list[Mailbox]:
    """The entries of a list that have an address; invalid text must not become several addresses in a header."""
    found = (mailbox_of(entry) for entry in given or ())
    return [mailbox for mailbox in found if mailbox and _ADDRESS.fullmatch(mailbox.address)]


def build(
    fields: Fields,
    *,
    sender: Mailbox,
    date: datetime,
    keep_bcc: bool,
    source: Referred | None,
    extras: Extras,
    offload: Offload,
) -> Composed:
    """Compose what a request describes. Raises InvalidInput that names the field."""
    try:
        draft = _draft(fields, sender, date, source, extras)
        visible = draft if keep_bcc else replace(draft, bcc=())
        raw = offload(compose, visible)
    except ComposeError as error:
        raise InvalidInput({error.path: str(error)}) from error
    everybody = [*draft.to, *draft.cc, *draft.bcc]
    return Composed(raw, sender.address, unique_addresses(m.address for m in everybody))


def compose_submission(
    store: Store, account: User, fields: Fields, source: Referred | None, date: datetime, offload: Offload
) -> Composed:
    """Compose what a request submits, from and to whom its envelope says. Raises InvalidInput that names the field."""
    author, sender = _author_and_sender(store, account, fields)
    composed = build(
        _addressed(fields),
        sender=author,
        date=date,
        keep_bcc=True,
        source=source,
        extras=Extras(),
        offload=offload,
    )
    envelope = mailboxes_of((fields.get("envelope") or {}).get("to"))
    recipients = unique_addresses(m.address for m in envelope) if envelope else composed.recipients
    return Composed(composed.raw, sender, recipients)


def _addressed(fields: Fields) -> Fields:
    """With `to` absent where an answer goes to whom it answers: an empty one names nobody, but an envelope may."""
    if fields.get("to"):
        return fields
    rest = {name: value for name, value in fields.items() if name != "to"}
    return {**rest, "to": []} if (fields.get("envelope") or {}).get("to") else rest


def _author_and_sender(store: Store, account: User, fields: Fields) -> tuple[Mailbox, str]:
    """Whom the header names and whom the envelope does; addresses that are not the account's are replaced."""
    main = Mailbox(str(account.get("name") or ""), str(account.get("address") or ""))
    envelope = mailbox_of((fields.get("envelope") or {}).get("from"))
    author = mailbox_of(fields.get("from")) or envelope or main
    envelope = envelope or author
    if fields.get("uploadOnly"):
        return author, envelope.address
    allowed = permitted_sender(store, account, author.address)
    if envelope.address == author.address:
        return Mailbox(author.name, allowed), allowed
    return Mailbox(author.name, allowed), permitted_sender(store, account, envelope.address)


def compose_draft(store: Store, account: User, draft: Message, date: datetime) -> Composed:
    """A stored draft with the date of its sending and a sender that the account may use, and whom it goes to."""
    envelope = (draft.get("meta") or {}).get("envelope") or {}
    header, body = split(b"".join(store.messages.source(draft)))
    header, author = under_own_name(store, account, with_field(header, "Date", format_datetime(date)))
    sender = permitted_sender(store, account, str(envelope.get("from") or author))
    header = with_id(header, sender)
    recipients = _recipients_of_draft(draft["mimeTree"]["parsedHeader"], envelope)
    return Composed(header + b"\r\n" + body, sender, recipients)


def _recipients_of_draft(headers: Fields, envelope: Fields) -> list[str]:
    if envelope.get("to"):
        return unique_addresses(envelope["to"])
    lists = [flat_addresses(headers.get(name)) for name in ("to", "cc", "bcc")]
    return unique_addresses(entry["address"] for entries in lists for entry in entries)


def _draft(fields: Fields, sender: Mailbox, date: datetime, source: Referred | None, extras: Extras) -> Draft:
    html, pictures = extract_data_images(
        fields.get("html") or "", sender.address.rpartition("@")[2] or "localhost"
    )
    if len(html) > _LARGEST_HTML:
        raise ComposeError(
            "html", f'"html" length must be less than or equal to {_LARGEST_HTML} characters long'
        )
    to, cc, bcc = (_listed(fields, name) for name in ("to", "cc", "bcc"))
    if source and not (to or cc or bcc) and "to" not in fields:
        to, cc = list(source.reference.to), list(source.reference.cc)
    own = [_attachment(given, number) for number, given in enumerate(fields.get("attachments") or ())]
    return Draft(
        sender=sender,
        date=date,
        reply_to=mailbox_of(fields.get("replyTo")),
        to=to,
        cc=cc,
        bcc=bcc,
        subject=fields.get("subject") or (source.reference.subject if source else ""),
        text=fields.get("text") or "",
        html=html,
        attachments=[*extras.attachments, *own, *pictures],
        headers=[*(source.reference.headers if source else ()), *_headers(fields)],
    )


def _listed(fields: Fields, name: str) -> list[Mailbox]:
    """The people of a list. Raises ComposeError for a domain that has no canonical form."""
    given = fields.get(name) or ()
    for number, entry in enumerate(given):
        if any(not is_domain(m.address.rpartition("@")[2]) for m in mailboxes_of([entry])):
            path = f"{name},{number},address"
            raise ComposeError(path, f'"{name}[{number}].address" must be a valid email')
    return mailboxes_of(given)


def _headers(fields: Fields) -> list[tuple[str, str]]:
    return [(h["key"], h["value"]) for h in fields.get("headers") or () if h.get("key") and h.get("value")]


def _attachment(given: Fields, number: int) -> Attachment:
    path = f"attachments,{number},content"
    return Attachment(
        decode_content(given["content"], given.get("encoding") or "base64", path),
        str(given.get("filename") or ""),
        str(given.get("contentType") or ""),
        str(given.get("cid") or ""),
        str(given.get("contentDisposition") or ""),
    )


def unique_addresses(addresses: Iterable[str]) -> list[str]:
    """Addresses with their domains in punycode, each once."""
    return list(dict.fromkeys(ascii_address(address) for address in addresses if address))


def extras_of(store: Store, user: ObjectId, fields: Fields, source: Referred | None) -> Extras:
    """Attachments of the message referred to, and kept files. Raises FileNotFound or AttachmentNotFound."""
    attachments = _of_source(store, source, (fields.get("reference") or {}).get("attachments"))
    files = store.files.of_user(user, fields.get("files") or ())
    kept = [_kept(store, file) for file in files]
    return Extras(attachments + kept, [_remembered(file) for file in files])


def _of_source(
    store: Store, source: Referred | None, chosen_ids: Sequence[str] | bool | None
) -> list[Attachment]:
    if not source or not chosen_ids:
        return []
    listed = source.message.get("attachments") or []
    if chosen_ids is True:
        chosen = [attachment for attachment in listed if not attachment["related"]]
    else:
        ids = {str(name).upper() for name in chosen_ids}
        chosen = [attachment for attachment in listed if attachment["id"] in ids]
        if len(chosen) < len(ids):
            raise AttachmentNotFound
    return [_copied(store, source.message, attachment) for attachment in chosen]


def _copied(store: Store, message: Message, attachment: AttachmentInfo) -> Attachment:
    kind, _, chunks = store.messages.attachment(message, attachment["id"])
    cid = str(attachment.get("cid") or "").strip("<>")
    return Attachment(b"".join(chunks), attachment["filename"], kind, cid)


def _kept(store: Store, file: KeptFile) -> Attachment:
    cid = str((file.get("metadata") or {}).get("cid") or "")
    return Attachment(store.files.content(file), file["filename"], str(file.get("contentType") or ""), cid)


def _remembered(file: KeptFile) -> StoredFile:
    return {
        "id": str(file["_id"]),
        "filename": file["filename"],
        "contentType": file.get("contentType"),
        "size": file["length"],
        "cid": (file.get("metadata") or {}).get("cid"),
    }
