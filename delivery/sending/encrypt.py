"""A message that came in, encrypted for its owner: what a mailbox shows of it stays outside."""

from __future__ import annotations

from delivery.inbound.arrival import Arrival, delivery_fields
from delivery.inbound.decision import classification_lines
from delivery.inbound.recipients import Recipient
from mail.rewrite import split
from problems import MessageNotEncrypted
from security.encryption import EncryptionFailed, encrypt_for_owner
from storage.mailboxes.documents import Mailbox
from storage.messages.encrypting import wants_encryption


def sealed(raw: bytes, mailbox: Mailbox, arrival: Arrival, recipient: Recipient) -> bytes:
    """The message as it is stored: itself, or encrypted where account or mailbox want that and it is not yet.

    The encrypted one has `Delivered-To` and `Return-Path` in front, and the classification, as WildDuck has it.
    Raises MessageNotEncrypted: what should be secret is not stored in clear.
    """
    account = recipient.user
    if not wants_encryption(account, mailbox):
        return raw
    try:
        encrypted = encrypt_for_owner(raw, account)
    except EncryptionFailed as error:
        raise MessageNotEncrypted from error
    if encrypted is raw:
        return raw
    header, body = split(encrypted)
    trace = delivery_fields(recipient.address, arrival.envelope.sender)
    return trace + header + classification_lines(raw) + b"\r\n" + body
