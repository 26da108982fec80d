"""Keys by which a retried delivery is recognised (idempotency).

An MTA that did not hear our reply sends the same message to the same recipient again: same envelope, same bytes but
for what it may write differently each time. That is the first key.

The second one is for copies that took different ways, such as one through an alias and one direct: the same
Message-ID, Date and body, for the same mailbox. A message without a Message-ID has no such key.
"""

from __future__ import annotations

import hashlib

from bson import ObjectId

from delivery.inbound.arrival import Arrival
from delivery.inbound.recipients import Recipient
from storage.queue.received import Key


def retry_key(arrival: Arrival, recipient: Recipient) -> Key:
    """The key of a message that is sent again."""
    return Key(
        _digest(str(recipient.owner["_id"]), arrival.envelope.sender, recipient.address, arrival.digest)
    )


def copy_keys(arrival: Arrival, mailbox: ObjectId) -> list[Key]:
    """The key of another copy in the same mailbox."""
    message_id = arrival.first("message-id").strip()
    if not message_id:
        return []
    digest = _digest(str(mailbox), message_id, arrival.first("date").strip(), arrival.body_digest)
    return [Key(digest, mailbox)]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
