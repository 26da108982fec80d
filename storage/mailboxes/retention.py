"""When a message expires: what its mailbox says, unless somebody set a date by hand.

Where a mailbox's retention changes, a task dates its messages again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, TypedDict

from storage.base.database import (
    Clock,
    Session,
    Transactions,
)
from storage.base.tasks import Tasks
from storage.mailboxes.documents import Mailbox, MailboxSettings
from storage.mailboxes.mailboxes import Mailboxes, changes_retention


def milliseconds(date: datetime) -> int:
    """Milliseconds since 1970, the form that expiry times have on disk."""
    return round(date.timestamp() * 1000)


class RetentionFields(TypedDict, total=False):
    """When a message expires, and why. Times are milliseconds since 1970."""

    retention: float | None  # the mailbox's, in milliseconds; none where the date was set by hand
    retentionTime: int  # when it joined the mailbox
    exp: bool  # whether it expires
    rdate: int | None  # when it does


def retention_fields(mailbox: Mailbox, joined: datetime) -> RetentionFields:
    """The fields of a message that joins a mailbox; `rdate` is None where it does not expire."""
    retention = mailbox.get("retention") or 0
    base = milliseconds(joined)
    return {
        "retention": retention,
        "retentionTime": base,
        "exp": bool(retention),
        "rdate": base + int(retention) if retention else None,
    }


def expiry_fields(expires: datetime | Literal[False]) -> RetentionFields:
    """The fields of a message whose expiry was set by hand, or lifted with False."""
    if isinstance(expires, datetime):
        return {"exp": True, "rdate": milliseconds(expires), "retention": None}
    return {"exp": False, "rdate": None, "retention": None}


TASK = "mailbox-retention"
_AFTER_A_CRASH = timedelta(minutes=1)


class RetentionChanges:
    """What spans a mailbox and its task: both are written or neither."""

    def __init__(self, mailboxes: Mailboxes, tasks: Tasks, transactions: Transactions, clock: Clock) -> None:
        self._mailboxes = mailboxes
        self._tasks = tasks
        self._transactions = transactions
        self._clock = clock

    def apply(self, mailbox: Mailbox, path: str | None, fields: MailboxSettings) -> None:
        """Rename a mailbox and set what differs; its messages follow a new retention later.

        A server without transactions gets the task before the change too, for a minute later: should this process
        die between the two, the task finds what was changed, or nothing.
        Raises MailboxExists, MailboxProtected or MailboxNotFound.
        """
        next_counter = (mailbox.get("retentionCounter") or 0) + 1

        def steps(session: Session) -> None:
            if session is None and changes_retention(mailbox, fields):
                self._ask(mailbox, next_counter, self._clock() + _AFTER_A_CRASH, None)
            if counter := self._mailboxes.update(mailbox, path, fields, session):
                self._ask(mailbox, counter, None, session)

        self._transactions.run(steps)

    def _ask(self, mailbox: Mailbox, counter: int, due: datetime | None, session: Session) -> None:
        """There is one task for a mailbox, under the mailbox's own id."""
        match = {"user": mailbox["user"], "mailbox": mailbox["_id"]}
        self._tasks.renew(TASK, match, {"retentionCounter": counter}, mailbox["_id"], due, session)
