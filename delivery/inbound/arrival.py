"""A message that came in, what is found out about it once, whoever it is for, and its trace fields (RFC 5321 §4.4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any

import structlog
from bson import ObjectId

from delivery.inbound.received import ReceivedForm
from delivery.inbound.verification import Peer, Verification, from_fields, verify
from mail.compose import ascii_address
from mail.headers import addresses, flat_addresses, unfold
from mail.mime_tree import header_fields, header_lines, normalize
from mail.rewrite import split
from network.dns import Dns

log = structlog.get_logger()

_RECEIVED_ID = re.compile(r"\sid\s+([^\s();]+)", re.I)
_LARGEST_VERIFIED = 16 * 1024 * 1024
_DISOWNING = ("quarantine", "reject")
_ANEW_EACH_TIME = frozenset({"delivery-date", "envelope-to", "return-path"})
"""Fields that an MTA may write when it hands a message over, so they differ when it does so again."""

_NOT_VISIBLE = re.compile(r"[^\x21-\x27\x2a-\x5b\x5d-\x7e]")
SPAM_SCORES = {"reject": 75, "rewrite subject": 50, "soft reject": 50, "greylist": 50, "add header": 25}
"""What an action of rspamd says against a message; an account's spam level is the score from which it is spam."""
_SPAM = ("yes", "true", "spam")
_MARKED = "rewrite subject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """How a message was handed in; `id` identifies the transaction, `peer` the client's IP, `helo` its name."""

    id: ObjectId
    sender: str
    peer: str
    helo: str
    time: datetime
    utf8: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What all recipients of a message share. `fields` are the header fields, as (name in lower case, text)."""

    envelope: Envelope
    host: str
    raw: bytes
    fields: Sequence[tuple[str, str]]
    digest: str
    body_digest: str
    spam_action: str = ""
    verification: Verification | None = None

    def values(self, name: str) -> list[str]:
        """The texts of all fields of a name, unfolded."""
        return [unfold(text) for key, text in self.fields if key == name]

    def first(self, name: str) -> str:
        """The text of the topmost field of a name, empty without one."""
        return next(iter(self.values(name)), "")

    def addresses(self, name: str) -> list[str]:
        """The addresses in all fields of a name, including members of groups."""
        entries = (entry for text in self.values(name) for entry in flat_addresses(addresses(text)))
        return [str(entry["address"]) for entry in entries]

    @property
    def hops(self) -> int:
        """How many servers it came through."""
        return len(self.values("received"))

    @property
    def is_unproven(self) -> bool:
        """Return whether the domain that From names has a policy (DMARC), and nothing shows that this is from it."""
        dmarc = self.verification.get("dmarc") if self.verification else None
        return dmarc is not None and not dmarc["domain"]

    @property
    def is_disowned(self) -> bool:
        """Return whether that policy refuses it, and nothing speaks for the envelope's sender (SPF).

        Whoever that is has not written it.
        """
        results = self.verification
        if results is None or not self.is_unproven:
            return False
        return results["dmarc"]["policy"] in _DISOWNING and not results["spf"]

    def forwarded(self, recipient: str) -> bytes:
        """The message with our own Received field: what is forwarded."""
        envelope = self.envelope
        trace = _received(
            helo=envelope.helo,
            peer=envelope.peer,
            host=self.host,
            protocol="UTF8LMTP" if envelope.utf8 else "LMTP",
            transaction=str(envelope.id),
            recipient=recipient,
            time=envelope.time,
        )
        return trace + self.raw

    def meta(self, recipient: str) -> Mapping[str, Any]:
        """`meta` of the stored message. Only `queueId` is the message's own word."""
        envelope = self.envelope
        found = _RECEIVED_ID.search(self.first("received"))
        return {
            "transactionId": envelope.id,
            "source": "MX",
            "from": envelope.sender,
            "to": [recipient],
            "origin": envelope.peer,
            "transhost": envelope.helo,
            "transtype": "LMTP",
            "time": envelope.time,
            **({"queueId": found[1][:100]} if found else {}),
            **({"spamAction": self.spam_action} if self.spam_action else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is believed of a message: results of this `authserv_id`, or else what the DNS says, if there is one."""

    host: str = "localhost"
    dns: Dns | None = None
    authserv_id: str = ""
    spam_fields: Sequence[str] = field(default_factory=tuple)
    received: ReceivedForm = field(default_factory=ReceivedForm)

    def arrival(self, envelope: Envelope, content: bytes) -> Arrival:
        """Look at a message. Takes as long as the DNS does, so it belongs into a thread."""
        raw = normalize(content)
        header, body = split(raw)
        lines = header_lines(header)
        fields = list(header_fields([line.decode("latin-1") for line in lines]))
        return Arrival(
            envelope=envelope,
            host=self.host,
            raw=raw,
            fields=fields,
            digest=_digest(_lasting(lines, fields), body),
            body_digest=_digest([], body),
            spam_action=spam_action(fields, self.spam_fields),
            verification=self._verified(envelope, raw, fields),
        )

    def _verified(
        self, envelope: Envelope, raw: bytes, fields: Sequence[tuple[str, str]]
    ) -> Verification | None:
        if self.authserv_id:
            return from_fields(fields, self.authserv_id)
        if self.dns is None or len(raw) > _LARGEST_VERIFIED:
            return None
        try:
            return verify(raw, _sending_peer(envelope, fields, self.received), self.dns)
        except Exception:
            # Libraries take apart what a stranger wrote; no mistake of theirs may hold mail up.
            log.exception("a message could not be verified", transaction=str(envelope.id))
            return None


def _lasting(lines: Sequence[bytes], fields: Sequence[tuple[str, str]]) -> list[bytes]:
    return [line for line, (name, _) in zip(lines, fields, strict=True) if name not in _ANEW_EACH_TIME]


def _digest(lines: Sequence[bytes], body: bytes) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line + b"\r\n")
    digest.update(b"\r\n")
    digest.update(body)
    return digest.hexdigest()


def _sending_peer(envelope: Envelope, fields: Sequence[tuple[str, str]], form: ReceivedForm) -> Peer:
    """Who handed the message to the MTA, by the MTA's own Received field, which is the topmost. Where that does not
    tell, nobody is known to send for anybody.
    """
    text = next((unfold(value) for name, value in fields if name == "received"), "")
    return Peer(*form.read(text), envelope.sender)


def spam_action(fields: Iterable[tuple[str, str]], names: Sequence[str]) -> str:
    """The filter's action, in the words of rspamd, from header fields such as `X-Spam-Flag: YES`; empty for none.

    A plain mark is as much as a changed subject: spam for accounts with the usual level. Only what speaks against a
    message counts, so nothing is won by forging these fields.
    """
    wanted = {name.lower() for name in names}
    actions = [_action_of(value.lower().strip()) for name, value in fields if name in wanted]
    return max(actions, key=lambda action: SPAM_SCORES.get(action, 0), default="")


def _action_of(value: str) -> str:
    if value in SPAM_SCORES:
        return value
    return _MARKED if value.replace(",", " ").split(" ")[0] in _SPAM else ""


def with_trace(arrival: Arrival, recipient: str) -> bytes:
    """The message as it is stored."""
    return delivery_fields(recipient, arrival.envelope.sender) + arrival.forwarded(recipient)


def _received(
    *, helo: str, peer: str, host: str, protocol: str, transaction: str, recipient: str, time: datetime
) -> bytes:
    """Our Received field; a recipient that ASCII cannot express is left out."""
    address = ascii_address(recipient)
    for_whom = f"\r\n\tfor <{address}>" if address.isascii() else ""
    literal = f"IPv6:{peer}" if ":" in peer else peer
    text = (
        f"Received: from {_word(helo)} ([{_word(literal)}])\r\n"
        f"\tby {_word(host)} with {protocol} id {transaction}{for_whom};\r\n"
        f"\t{format_datetime(time)}\r\n"
    )
    return text.encode("ascii")


def _word(text: str) -> str:
    """A client's word cannot end the field, nor begin a comment."""
    return _NOT_VISIBLE.sub("?", text)[:255] or "unknown"


def delivery_fields(recipient: str, sender: str) -> bytes:
    """`Delivered-To` and `Return-Path`."""
    return f"Delivered-To: {recipient}\r\nReturn-Path: <{sender}>\r\n".encode()
