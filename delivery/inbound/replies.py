"""Replies to an LMTP client (RFC 5321 §4.2) with their enhanced codes (RFC 3463)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from problems import MessageNotEncrypted, MessageTooLarge, OverQuota, Problem, UserNotFound
from storage.base.database import DatabaseError

TEMPORARY = "451 4.3.0 Temporary failure, try again later"
UNKNOWN = "550 5.1.1 Unknown recipient"
UNKNOWN_DOMAIN = "550 5.1.2 Mail is not taken for this domain"
DISABLED = "550 5.2.1 Mailbox disabled, not accepting messages"
OVER_QUOTA = "452 4.2.2 Mailbox full"
NEVER_FITS = "552 5.2.3 Message is larger than the mailbox may become"
TOO_MANY_MESSAGES = "450 4.2.1 Mailbox gets too many messages, try again later"
FORWARD_LIMIT = "450 4.7.1 Daily forwarding limit reached, try again later"
FORWARD_LOOP = "554 5.4.6 Mail loop"
TOO_LARGE = "552 5.3.4 Message is too large"
NO_ROOM = "452 4.3.1 No room on the disk, try again later"
NOT_ENCRYPTED = "451 4.7.5 Message cannot be encrypted for its owner, try again later"

_OF_PROBLEM: Mapping[type[Problem], str] = {
    UserNotFound: UNKNOWN,
    OverQuota: OVER_QUOTA,
    MessageTooLarge: TOO_LARGE,
    MessageNotEncrypted: NOT_ENCRYPTED,
}


class Refused(Exception):
    """A recipient does not get a message; `reply` is the answer to the client."""

    def __init__(self, reply: str) -> None:
        self.reply = reply
        super().__init__(reply)


def reply_to(error: BaseException) -> str | None:
    """The reply to a failure that is foreseen, None for one that is not."""
    if isinstance(error, Refused):
        return error.reply
    if isinstance(error, Problem):
        return _OF_PROBLEM.get(type(error), TEMPORARY)
    return TEMPORARY if isinstance(error, DatabaseError) else None


_BARE = re.compile(r"([245])(\d\d) (?!\d\.\d{1,3}\.\d{1,3} )")
_ENHANCED = {"220": "", "421": "4.3.2", "500": "5.5.2", "501": "5.5.4", "502": "5.5.1", "503": "5.5.1"}


def enhanced(reply: str) -> str:
    """A reply of one line with an enhanced code (RFC 2034 §4); the greeting has none."""
    match = _BARE.match(reply)
    code = _ENHANCED.get(reply[:3], f"{reply[:1]}.0.0") if match else ""
    return f"{reply[:3]} {code} {reply[4:]}" if code else reply
