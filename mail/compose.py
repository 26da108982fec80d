"""Fields → a message (RFC 5322, 2045 to 2047, 2231). No field can add a header or a body of its own."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.header import Header
from email.message import EmailMessage, MIMEPart
from email.utils import format_datetime

from mail.domains import InvalidDomain, ascii_domain, canonical_domain
from mail.headers import addresses, flat_addresses
from mail.html import html_to_text
from mail.parameters import extension_of, media_type

_POLICY = policy.SMTP.clone(cte_type="7bit", max_line_length=78)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+")
_HEADER_NAME = re.compile(r"[\x21-\x39\x3b-\x7e]{1,100}")
_LONGEST_QUOTED, _LONGEST_MAILBOX = 48, 60
_LONGEST_WORD = 900  # what cannot be folded must still fit into a line (RFC 5322 §2.1.1)
_STRUCTURAL = frozenset({"mime-version", "bcc"})
_SINGLE = frozenset({"message-id", "in-reply-to", "references"})
_OF_FIELDS = frozenset({"from", "sender", "to", "cc", "reply-to", "subject", "date"})


class ComposeError(ValueError):
    """A field that no message can be made of; `path` names it as the API does, levels joined by commas."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A name, which may be empty, and an address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """Content with what its part says of it; `cid` without angle brackets."""

    content: bytes
    filename: str = ""
    content_type: str = ""
    cid: str = ""
    disposition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a message is made of. `headers` are further fields, in their order."""

    sender: Mailbox
    date: datetime
    message_id: str = ""
    reply_to: Mailbox | None = None
    to: Sequence[Mailbox] = ()
    cc: Sequence[Mailbox] = ()
    bcc: Sequence[Mailbox] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    attachments: Sequence[Attachment] = ()
    headers: Sequence[tuple[str, str]] = field(default_factory=tuple)


def compose(draft: Draft) -> bytes:
    """The message, lines ended by CRLF. Raises ComposeError."""
    root = _body(draft)
    lines = [*_fields(draft), ("MIME-Version", "1.0")]
    head = "".join(f"{name}: {value}\r\n" for name, value in lines).encode()
    return head + root.as_bytes(policy=_POLICY)


def new_message_id(address: str) -> str:
    """`<uuid@domain of the address>`."""
    domain = ascii_address(address).rpartition("@")[2] if address else ""
    return f"<{uuid.uuid4()}@{domain or 'localhost'}>"


def _fields(draft: Draft) -> list[tuple[str, str]]:
    own: list[tuple[str, str]] = [
        ("From", _mailboxes([draft.sender])),
        ("To", _mailboxes(draft.to)),
        ("Cc", _mailboxes(draft.cc)),
        ("Bcc", _mailboxes(draft.bcc)),
        ("Reply-To", _mailboxes([draft.reply_to] if draft.reply_to else _answers_to(draft))),
        ("Subject", _unstructured("Subject", draft.subject)),
        ("Date", format_datetime(draft.date.astimezone(UTC))),
    ]
    custom = _once([(name, value) for name, value in map(_custom, draft.headers) if value and _is_free(name)])
    if not any(name.lower() == "message-id" for name, _ in custom):
        own.append(("Message-ID", draft.message_id or new_message_id(draft.sender.address)))
    return custom + [(name, value) for name, value in own if value]


def _once(fields: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of those that a message may have once (RFC 5322 §3.6) the first: what follows from an answer comes before."""
    first = {name.lower(): number for number, (name, _) in reversed(list(enumerate(fields)))}
    return [
        f for number, f in enumerate(fields) if f[0].lower() not in _SINGLE or first[f[0].lower()] == number
    ]


def _answers_to(draft: Draft) -> list[Mailbox]:
    """Whom a further field says that answers go to, as clients from before `replyTo` write it."""
    values = (value for name, value in draft.headers if name.strip().lower() == "reply-to")
    entries = (entry for value in values for entry in flat_addresses(addresses(plain(value))))
    return [Mailbox(entry["name"], entry["address"]) for entry in entries if "@" in entry["address"]]


def _is_free(name: str) -> bool:
    lower = name.lower()
    return lower not in _STRUCTURAL | _OF_FIELDS and not lower.startswith("content-")


def _custom(given: tuple[str, str]) -> tuple[str, str]:
    name, value = given[0].strip(), plain(given[1])
    if not _HEADER_NAME.fullmatch(name):
        raise ComposeError("headers", f'"{name[:60]}" is no name of a header field')
    if name.lower() == "message-id":
        value = f"<{value.strip('<>').replace(' ', '')}>"
    return name, _unstructured(name, value)


def plain(text: str) -> str:
    """Without line breaks and control characters, so that a value stays one value."""
    return _CONTROL.sub(" ", text).encode("utf-8", "replace").decode().strip()


def _unstructured(name: str, text: str) -> str:
    """A text as a field's body: folded, encoded where it is not ASCII (RFC 2047)."""
    text = plain(text)
    if not text:
        return ""
    is_plain = text.isascii() and "=?" not in text and max(map(len, text.split())) <= _LONGEST_WORD
    charset = "ascii" if is_plain else "utf-8"
    words = Header(text, charset, header_name=name, maxlinelen=76)
    return words.encode(linesep="\r\n", splitchars=" ,;")


def _mailboxes(mailboxes: Sequence[Mailbox]) -> str:
    """An address list, one address a line where there are several."""
    return ",\r\n ".join(mailbox_field(mailbox) for mailbox in mailboxes if mailbox.address)


def mailbox_field(mailbox: Mailbox) -> str:
    """The body of a From field. A local part that is no ASCII makes the header one of RFC 6532."""
    address, name = ascii_address(plain(mailbox.address)), plain(mailbox.name)
    if not name:
        return address
    if name.isascii() and "=?" not in name and len(name) <= _LONGEST_QUOTED:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        phrase = f'"{escaped}"'
    else:
        phrase = Header(name, "utf-8", maxlinelen=64).encode(linesep="\r\n")
    last = phrase.rpartition("\r\n")[2]
    break_ = "\r\n" if len(last) + len(address) > _LONGEST_MAILBOX else ""
    return f"{phrase}{break_} <{address}>"


def ascii_address(address: str) -> str:
    """The address with its domain in canonical form and punycode; what has no domain stays, and is nobody's."""
    local, at, domain = address.rpartition("@")
    try:
        return local + at + ascii_domain(canonical_domain(domain))
    except InvalidDomain:
        return address


def _body(draft: Draft) -> MIMEPart:
    linked = [a for a in draft.attachments if a.cid and draft.html]
    others = [a for a in draft.attachments if not (a.cid and draft.html)]
    parts = _texts(draft, linked) + [_attachment(a, number) for number, a in enumerate(others, 1)]
    if not parts:
        return _text("", "plain")
    return parts[0] if len(parts) == 1 else _multipart("mixed", parts)


def _texts(draft: Draft, linked: Sequence[Attachment]) -> list[MIMEPart]:
    text = draft.text or (html_to_text(draft.html) if draft.html else "")
    versions = [_text(text, "plain")] if text else []
    if draft.html:
        html = _text(draft.html, "html")
        if linked:
            html = _multipart("related", [html, *(_attachment(a, n) for n, a in enumerate(linked, 1))])
            html.set_param("type", "text/html")
        versions.append(html)
    return [_multipart("alternative", versions)] if len(versions) > 1 else versions


def _text(text: str, subtype: str) -> MIMEPart:
    part = _part()
    clean = text.replace("\0", "").encode("utf-8", "replace").decode()
    part.set_content(clean.replace("\r\n", "\n").replace("\r", "\n"), subtype=subtype, charset="utf-8")
    return part


def _attachment(attachment: Attachment, number: int) -> MIMEPart:
    name = plain(attachment.filename)
    kind, params = media_type(attachment.content_type, name)
    maintype, _, subtype = kind.partition("/")
    name = name or f"attachment-{number}{extension_of(kind)}"
    inline = attachment.cid and maintype == "image"
    part = _part()
    part.set_content(
        attachment.content,
        maintype=maintype,
        subtype=subtype,
        disposition=attachment.disposition or ("inline" if inline else "attachment"),
        filename=name,
        cid=f"<{plain(attachment.cid).strip('<>').replace(' ', '')}>" if attachment.cid else None,
        params=params,
    )
    return part


def _part() -> MIMEPart:
    return MIMEPart(policy=_POLICY)


def _multipart(subtype: str, parts: Sequence[MIMEPart]) -> MIMEPart:
    part = EmailMessage(policy=_POLICY)
    part["Content-Type"] = f'multipart/{subtype}; boundary="{uuid.uuid4().hex}"'
    part.set_payload(list(parts))
    return part
