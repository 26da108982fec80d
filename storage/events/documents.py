"""Rows of the collections of this package, and the values they hold. Field names are WildDuck's where it has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias, TypedDict

from bson import ObjectId

Command: TypeAlias = Literal["EXISTS", "EXPUNGE", "FETCH", "CREATE", "RENAME", "DELETE"]


class JournalEntry(TypedDict, total=False):
    """A change of a mailbox or of one of its messages, in `journal`; a TTL index removes it after three hours."""

    _id: ObjectId
    user: ObjectId
    mailbox: ObjectId
    created: datetime
    command: Command
    modseq: int
    path: str  # of CREATE and RENAME
    # of EXISTS, EXPUNGE and FETCH:
    uid: int
    message: ObjectId
    thread: ObjectId
    unseen: bool
    idate: datetime  # of EXISTS: the message's internal date
    junk: int  # of EXISTS: 1 or -1 where the message became or ceased to be spam
    markHam: bool  # of EXISTS: the user moved the message out of the junk folder
    flags: Sequence[str]  # of FETCH: all flags that the message has now
    unseenChange: bool  # of FETCH: whether the number of unseen messages changed
    ignore: str | None  # WildDuck's: the session that made the change and need not hear of it


class Notice(TypedDict, total=False):
    """What a client is sent at that moment, and never again."""

    command: Literal["LOGOUT", "DROP"]
    reason: str  # of LOGOUT
    mailbox: ObjectId  # of DROP


class NoticeRow(TypedDict, total=False):
    """A notice to all clients of an account, in `notices`."""

    _id: ObjectId
    user: ObjectId
    payload: Notice
    expires: datetime


class UpdateRow(TypedDict, total=False):
    """The place of a journal entry in the order of its account's events, in `updates`.

    The head of an account, `{_id: user, user, base}`, remembers the last number when all rows have expired.
    """

    _id: ObjectId  # the entry's
    user: ObjectId
    n: int  # from 1 on, without gaps
    at: datetime
    expires: datetime
    base: int  # of the head alone


EventFields: TypeAlias = Mapping[str, object]
"""The fields of an event by name, as `storage.events.catalogue` lists them for its type."""
EventBody: TypeAlias = Mapping[str, object]
"""What a webhook is sent: `id`, `time` (ms since 1970), `ev` (the type), `user`, and the fields of the type as JSON."""


class EventOrderRow(TypedDict, total=False):
    """The last number of an account's events, in `eventorder`."""

    _id: ObjectId | str  # the account, or `service` for events of none
    n: int
    expires: datetime


class WebhookRow(TypedDict, total=False):
    """A webhook, in `webhooks`."""

    _id: ObjectId
    type: Sequence[str]  # patterns of event types
    user: ObjectId | None  # None for all accounts, and what belongs to none
    url: str
    created: datetime


class WebhookQueueEntry(TypedDict, total=False):
    """An event that one webhook is to be sent, in `webhookqueue`."""

    _id: ObjectId
    lane: str  # see `LaneRow`; missing once the entry is dead
    n: int  # its place in the lane
    hook: ObjectId
    user: ObjectId | None
    target: str  # `scheme://host:port` of the hook
    type: str
    body: EventBody
    since: datetime  # when it was queued, or last put back
    fresh: bool  # until its lane is made
    attempts: int
    # of dead entries:
    of: str  # the lane that it was in
    died: datetime
    expires: datetime
    error: str


class LaneRow(TypedDict, total=False):
    """The queue of one webhook and account, which is sent in order, in `webhooklanes`."""

    _id: str
    hook: ObjectId
    target: str
    due: datetime  # from when a runner may claim it; the end of the lease while one has it
    lock: str  # of the runner that has it, empty while none has
    version: int  # changes when it gets new entries
    failures: int  # since the target last accepted anything
    head: ObjectId  # the entry that was attempted last
    attempts: int  # of the head
    error: str


class WebhookState(TypedDict, total=False):
    """How far behind a webhook is."""

    waiting: int
    oldest: datetime  # since when the first entry waits
    next: datetime  # when it is tried again
    failures: int
    error: str


class Backlog(TypedDict):
    """The pending entries of a webhook, counted."""

    _id: ObjectId  # the webhook
    waiting: int
    oldest: datetime


class WorstLane(TypedDict):
    """The lanes of a webhook, summed up: the next attempt, and the lane with most failures."""

    _id: ObjectId  # the webhook
    next: datetime
    worst: WebhookState  # `failures` and `error` alone


class DeadEntry(TypedDict):
    """An event that was given up, as it is listed for operators."""

    id: ObjectId
    hook: ObjectId
    user: ObjectId | None
    type: str
    died: datetime
    attempts: int
    error: str
    body: EventBody
