"""Mail that goes on: to the targets of filters, of an account, of a forwarded address."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import orjson
from bson import ObjectId

from delivery.inbound.arrival import Arrival
from delivery.inbound.filtering import each_once
from delivery.inbound.recipients import Recipient
from delivery.inbound.replies import FORWARD_LIMIT, FORWARD_LOOP, Refused
from delivery.sending.enqueue import Queued, Submission, deliveries_to, enqueueing
from delivery.sending.policy import MOST_HOPS, counted_forwards
from mail.compose import ascii_address
from problems import RateLimited
from security.encryption import encrypt_for_owner, has_key
from storage.addresses.documents import Owner, Target
from storage.addresses.targets import own_targets
from storage.queue.outbound_queue import Delivery
from storage.store import Store

_SEEN = "X-WildDuck-Seen"
_SALT_DIGITS = 12
_MOST_SIGNATURES = 100

Fact = Mapping[str, object]
"""What a loop signature says of a delivery."""


def united_targets(store: Store, user: ObjectId, *groups: Sequence[Target]) -> list[Target]:
    """Each target once, without those that would come back to the account."""
    targets = each_once(target for group in groups for target in group)
    back = set(own_targets(store.addresses, user, [t["value"] for t in targets])) if targets else set()
    return [target for place, target in enumerate(targets) if place not in back]


class Forwarding:
    """Sends messages on. `secret` makes the loop signature by which one that comes back is known."""

    def __init__(self, store: Store, secret: str) -> None:
        self._store = store
        self._secret = secret.encode()

    def queue(
        self,
        stack: ExitStack,
        arrival: Arrival,
        recipient: Recipient,
        owner: Owner,
        targets: Sequence[Target],
        parent: ObjectId,
    ) -> Queued:
        """Stage a message, to go out when it is released; if `stack` ends with an error, it is removed again.

        Raises Refused for a loop and beyond the owner's limit, MessageNotEncrypted where nobody else may read it.
        """
        to = ascii_address(recipient.address)
        found = deliveries_to(targets, [to], owner)
        going = [delivery for _, delivery in found]
        signature = self._loop_signature(arrival, [_fact(*each, recipient.address) for each in found])
        raw = _for_target(arrival.forwarded(recipient.address), owner)
        try:
            stack.enter_context(counted_forwards(self._store, owner, len(going)))
        except RateLimited as problem:
            raise Refused(FORWARD_LIMIT) from problem
        submission = Submission(
            user=owner,
            raw=signature + raw,
            sender=arrival.envelope.sender,
            recipients=[recipient.address],
            send_at=self._store.clock(),
            parent=parent,
            origin=arrival.envelope.peer,
            deliveries=going,
            unreported=arrival.is_disowned,
            unsigned=arrival.is_unproven,
        )
        return stack.enter_context(enqueueing(self._store, submission))

    def _loop_signature(self, arrival: Arrival, facts: Sequence[Fact]) -> bytes:
        """The field that says that the message was sent to these targets. Raises Refused where it says so already."""
        text = orjson.dumps(facts)
        earlier = arrival.values(_SEEN.lower())[:_MOST_SIGNATURES]
        if arrival.hops >= MOST_HOPS or any(self._is_ours(signature.strip(), text) for signature in earlier):
            raise Refused(FORWARD_LOOP)
        salt = secrets.token_hex(_SALT_DIGITS // 2)
        return f"{_SEEN}: {salt}{self._digest(salt, text)}\r\n".encode()

    def _is_ours(self, signature: str, text: bytes) -> bool:
        salt, digest = signature[:_SALT_DIGITS], signature[_SALT_DIGITS:]
        return hmac.compare_digest(digest.encode(), self._digest(salt, text).encode())

    def _digest(self, salt: str, text: bytes) -> str:
        return hmac.new(self._secret, salt.encode() + text, hashlib.sha256).hexdigest()


def _fact(target: Target, delivery: Delivery, recipient: str) -> Fact:
    """A delivery as WildDuck writes it down, which shares the secret: the order counts."""
    whom = {"forwardedFor": recipient}
    if target["type"] == "mail":
        return {"to": delivery.recipient, **whom, **delivery.options}
    return {"to": delivery.recipient, **delivery.options, **whom}


def _for_target(raw: bytes, owner: Owner) -> bytes:
    """Encrypted, where the account wants what is forwarded to be readable for itself alone."""
    if owner.get("encryptForwarded") and has_key(owner):
        return encrypt_for_owner(raw, owner)
    return raw
