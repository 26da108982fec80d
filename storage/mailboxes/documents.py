"""What stands in the collection of mailboxes."""

from __future__ import annotations

from typing import TypedDict

from bson import ObjectId


class Counted(TypedDict, total=False):
    """How many messages there are, see `storage.mailboxes.counts`."""

    total: int
    unseen: int
    modseq: int  # the sequence that the counts are right for
    since: int  # the sequence from which on changes were counted
    again: int  # milliseconds since 1970 from which on they are counted once more


class MailboxSettings(TypedDict, total=False):
    """What a mailbox's owner chooses."""

    subscribed: bool
    hidden: bool
    encryptMessages: bool
    retention: float  # milliseconds that messages stay; 0 is for good


class Mailbox(MailboxSettings, TypedDict, total=False):
    """A mailbox, called folder by its user."""

    _id: ObjectId
    user: ObjectId
    path: str  # `Parent/Child`
    specialUse: str | None  # `\\Sent` and the like
    uidValidity: int
    uidNext: int
    modifyIndex: int  # the last modification sequence
    flags: list[str]
    retentionCounter: int  # how often the retention was changed
    counted: Counted
