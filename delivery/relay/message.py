"""A queued message as it is sent: read, with clean line ends, with its DKIM signature (RFC 6376)."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from delivery.relay.replies import temporary
from mail.compose import ascii_address
from mail.dkim import signature_header
from mail.mime_tree import normalize
from problems import DkimNotFound
from security.normalize import normalize_domain
from security.secrets import SecretUnreadable
from storage.queue.documents import QueueEnvelope, relay_flags
from storage.store import Store

Sign = Callable[[bytes, QueueEnvelope], bytes]

_BARE_CR = re.compile(rb"\r(?!\n)")
_ADDRESS = re.compile(
    r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])+"|[^\s\x00-\x1f\x7f<>@"]+)@[^\s\x00-\x1f\x7f<>@"]+'
)
_MOST_KEPT = 64
_LARGEST_KEPT = 256 * 1024


@dataclass(frozen=True)
class Message:
    """Envelope and content; lines end with CRLF, and there is no bare CR or LF that could pass for one."""

    envelope: QueueEnvelope = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def queue_id(self) -> str:
        return str(self.envelope["id"])

    @property
    def sender(self) -> str:
        """The envelope's sender, empty for what must not be answered; its domain in ASCII, as every server takes it."""
        return ascii_address(str(self.envelope.get("from") or ""))

    @cached_property
    def header(self) -> bytes:
        """The header fields."""
        return self.content.partition(b"\r\n\r\n")[0] + b"\r\n"

    @cached_property
    def is_8bit(self) -> bool:
        return not self.content.isascii()

    @cached_property
    def has_utf8_header(self) -> bool:
        return not self.header.isascii()


def made_of(envelope: QueueEnvelope, body: bytes, sign: Sign) -> Message:
    """The message that was queued, with what `sign` puts before it."""
    lines = (str(header["line"]).encode("latin-1", "replace") for header in envelope.get("headers") or ())
    plain = clean(b"\r\n".join([*lines, b"", body]))
    return Message(envelope, sign(plain, envelope) + plain)


def clean(raw: bytes) -> bytes:
    """With CRLF at the end of each line and nowhere else a CR or LF: servers differ in what else ends a line.

    In the header a bare CR becomes a blank, so that no part of a field becomes a field of its own.
    """
    header, end, body = normalize(raw).partition(b"\r\n\r\n")
    text = _BARE_CR.sub(b" ", header) + end + _BARE_CR.sub(b"\r\n", body)
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def is_path(address: str) -> bool:
    """Return whether an address can stand in MAIL or RCPT without saying more than itself."""
    return _ADDRESS.fullmatch(address) is not None


def unsigned(message: bytes, envelope: QueueEnvelope) -> bytes:
    """No signature."""
    return b""


class Source:
    """Reads queued messages and signs them. One that goes to many recipients is read and signed once."""

    def __init__(self, store: Store, sign: Sign = unsigned) -> None:
        self._queue = store.outbound_queue
        self._sign = sign
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Message] = OrderedDict()

    def read(self, queue_id: str) -> Message | None:
        """The message, None where it is not there (any more)."""
        with self._lock:
            if kept := self._kept.get(queue_id):
                self._kept.move_to_end(queue_id)
                return kept
        found = self._queue.read(queue_id)
        if found is None:
            return None
        message = made_of(*found, self._sign)
        if len(message.content) <= _LARGEST_KEPT:
            self._keep(queue_id, message)
        return message

    def _keep(self, queue_id: str, message: Message) -> None:
        with self._lock:
            self._kept[queue_id] = message
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)


class Signer:
    """Makes the DKIM signatures of mail that leaves.

    It signs for the domain of the From field, else of the envelope, if it is one of ours.

    What is forwarded and may be forged gets no signature: with ours it would pass where the policy of the domain has
    it refused (DMARC). The key of all domains, `*`, is published in ours alone.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, message: bytes, envelope: QueueEnvelope) -> bytes:
        """The field to be put before a message, empty where there is no key. Raises Failure: it cannot be used."""
        domain = _signing_domain(envelope)
        is_unsigned = relay_flags(envelope).get("unsigned")
        if is_unsigned or not domain or not self._is_ours(domain):
            return b""
        try:
            key = self._store.dkim.signing_key(domain)
        except (SecretUnreadable, ValueError) as error:
            raise temporary("4.3.5", f"The DKIM key for {domain} cannot be used: {error}") from error
        return signature_header(message, key, self._store.clock()) if key else b""

    def _is_ours(self, domain: str) -> bool:
        """Return whether a domain is ours: mail for it is accepted here, or it has its own key."""
        if self._store.addresses.known_domains([domain]):
            return True
        try:
            return bool(self._store.dkim.id_of(domain))
        except DkimNotFound:
            return False


def _signing_domain(envelope: QueueEnvelope) -> str:
    parsed = envelope.get("parsedEnvelope") or {}
    return normalize_domain(str(parsed.get("from") or envelope.get("from") or "").rpartition("@")[2])
