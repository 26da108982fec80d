"""DKIM signatures of mail that leaves (RFC 6376)."""

from __future__ import annotations

from delivery.relay.replies import temporary
from mail.dkim import signature_header
from problems import DkimNotFound
from security.normalise import normalise_domain
from security.secrets import SecretUnreadable
from storage.base.database import Document
from storage.store import Store


class Signer:
    """Signs for the domain of the From field, else of the envelope, if it is one of ours.

    What is forwarded and may be forged gets no signature: with ours it would pass where the policy of the domain has
    it refused (DMARC). The key of all domains, `*`, is published in ours alone.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, message: bytes, envelope: Document) -> bytes:
        """The field to be put before a message, empty where there is no key. Raises Failure: it cannot be used."""
        domain = _domain(envelope)
        is_unsigned = (envelope.get("mallard") or {}).get("unsigned")
        if is_unsigned or not domain or not self._is_ours(domain):
            return b""
        try:
            key = self._store.dkim.signing_key(domain)
        except (SecretUnreadable, ValueError) as error:
            raise temporary("4.3.5", f"The DKIM key for {domain} cannot be used: {error}") from error
        return signature_header(message, key, self._store.clock()) if key else b""

    def _is_ours(self, domain: str) -> bool:
        """Mail is taken for it here, or it has a key of its own."""
        if self._store.addresses.known_domains([domain]):
            return True
        try:
            return bool(self._store.dkim.id_of(domain))
        except DkimNotFound:
            return False


def _domain(envelope: Document) -> str:
    parsed: Document = envelope.get("parsedEnvelope") or {}
    return normalise_domain(str(parsed.get("from") or envelope.get("from") or "").rpartition("@")[2])
