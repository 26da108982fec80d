"""What goes out because of a message that came in: staged first, enqueued when the message is decided."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import structlog
from bson import ObjectId

from delivery.inbound.arrival import Arrival
from delivery.inbound.autoreply import Answer, Autoreplies
from delivery.inbound.forwarding import Forwarding
from delivery.inbound.recipients import Recipient
from delivery.inbound.replies import Refused
from delivery.sending.enqueue import Queued
from problems import summary
from security.encryption import EncryptionFailed
from storage.accounts.documents import User
from storage.addresses.documents import Owner, Target
from storage.base.database import Session
from storage.store import Store

log = structlog.get_logger()


class Leaving:
    """The forward and the answer of one message for one recipient. Used as a block, which an error undoes."""

    def __init__(
        self,
        store: Store,
        forwarding: Forwarding,
        arrival: Arrival,
        recipient: Recipient,
        message_id: ObjectId,
    ) -> None:
        self._store = store
        self._forwarding = forwarding
        self._autoreplies = Autoreplies(store)
        self._arrival = arrival
        self._recipient = recipient
        self._queued: list[Queued] = []
        self.message_id = message_id

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def ids(self) -> list[str]:
        """The queue ids."""
        return [queued.id for queued in self._queued]

    def forward(self, owner: Owner, targets: Sequence[Target]) -> None:
        """Send the message on. Raises Refused or MessageNotEncrypted."""
        queued = self._forwarding.queue(
            self._stack, self._arrival, self._recipient, owner, targets, self.message_id
        )
        self._queued.append(queued)

    def forward_if_possible(self, account: User, targets: Sequence[Target]) -> None:
        """Send it on for an account, which has the message all the same where that must not be."""
        try:
            self.forward(account, targets)
        except (Refused, EncryptionFailed) as error:
            log.warning("a message was not forwarded", user=str(account["_id"]), reason=summary(error))

    def answer(self, account: User | None = None) -> None:
        """Answer for an account, or for the forwarded address itself, unless there is a reason to be silent."""
        answer = self._answer_of(account)
        if not answer:
            return
        if reason := self._autoreplies.silence(answer, self._arrival, self._recipient):
            log.debug("no automatic answer", recipient=self._recipient.address, reason=reason)
        elif queued := self._autoreplies.queue(
            self._stack, answer, self._arrival, self._recipient, self.message_id
        ):
            self._queued.append(queued)

    def _answer_of(self, account: User | None) -> Answer | None:
        if account:
            return self._autoreplies.of_account(self._recipient, account)
        return self._autoreplies.of_address(self._recipient)

    def release(self, session: Session = None) -> None:
        """Send what waits, within the transaction of `session`."""
        for queued in self._queued:
            queued.release(session)
