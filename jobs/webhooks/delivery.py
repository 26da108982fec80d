"""One lane's way out: its entries are sent one after the other, until one is not taken."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol

import orjson
import structlog
from bson import ObjectId

from jobs.webhooks.attempt import KEPT_TRYING, Outcome, Random, Result, is_hopeless, pause, result_of
from network.post import PostFailed
from security.targets import without_password
from security.webhooks import hook_secret, signature
from storage.events.documents import WebhookRow
from storage.events.webhook_queue import Entry, Lane, LaneLost
from storage.store import Store

log = structlog.get_logger()

_TURN_SECONDS = 20.0


class Sender(Protocol):
    """How a body gets to a URL: `network.post.Poster`."""

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer. Raises PostFailed."""


class Delivery:
    """Sends what lanes hold; `secret` is the service's, empty for no signatures."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        secret: str = "",
        rand: Random = random.random,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._queue = store.webhook_queue
        self._sender = sender
        self._secret = secret
        self._rand = rand
        self._stopping = stopping

    def run(self, lane: Lane) -> None:
        """Send the entries of a lane for a while; what is left is for whoever takes it next."""
        hook = self._store.webhooks.find(lane.hook)
        if hook is None:
            return self._queue.drop_pending(lane.hook)
        until = time.monotonic() + _TURN_SECONDS
        try:
            while time.monotonic() < until and not self._stopping():
                entry = self._queue.head(lane)
                if entry is None:
                    return self._end(lane, hook)
                if not self._send(lane, hook, entry):
                    return None
            self._queue.release(lane)
        except LaneLost:
            log.warning("a lane of webhooks goes on elsewhere", lane=lane.id)
        return None

    def _send(self, lane: Lane, hook: WebhookRow, entry: Entry) -> bool:
        """Return whether to go on with the next event."""
        attempts = self._queue.begin(lane, entry)
        result = self._attempt(hook, entry, entry.attempts + attempts)
        if result.outcome is Outcome.ACCEPTED:
            self._queue.accept(lane, entry)
            return True
        if result.outcome is Outcome.HOOK_GONE:
            log.warning("a webhook is removed, its target is gone (410)", hook=str(lane.hook))
            self._remove(lane.hook)
            return False
        return self._failed(lane, entry, attempts, result)

    def _attempt(self, hook: WebhookRow, entry: Entry, number: int) -> Result:
        body = orjson.dumps(entry.body)
        try:
            status = self._sender.post(hook["url"], body, self._headers(hook, entry, number, body))
        except PostFailed as error:
            return Result(Outcome.UNREACHABLE, str(error))
        return result_of(status)

    def _headers(self, hook: WebhookRow, entry: Entry, number: int, body: bytes) -> dict[str, str]:
        delivery, timestamp = str(entry.body["id"]), int(self._store.clock().timestamp())
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/plain, */*",
            "User-Agent": "Mallard",
            "webhook-id": delivery,
            "webhook-timestamp": str(timestamp),
            "webhook-attempt": str(number),
        }
        if self._secret:
            secret = hook_secret(self._secret, str(hook["_id"]))
            headers["webhook-signature"] = signature(secret, delivery, timestamp, body)
        return headers

    def _failed(self, lane: Lane, entry: Entry, attempts: int, result: Result) -> bool:
        """Return whether to go on after a failure: a target that refuses one event may accept the next.

        A target that is out of reach is left alone for a while.
        """
        hopeless = is_hopeless(result.outcome, attempts, entry.since, self._store.clock())
        facts = {"hook": str(lane.hook), "target": without_password(lane.target), "type": entry.type}
        log.info("a webhook was not taken", **facts, attempt=attempts, reason=result.reason)
        if hopeless:
            log.warning("a webhook is given up on", **facts, entry=str(entry.id), reason=result.reason)
            self._queue.give_up(lane, entry, attempts, result.reason)
            if result.outcome is Outcome.REFUSED:
                return True
            self._queue.give_up_older(lane, self._store.clock() - KEPT_TRYING, result.reason)
        self._queue.defer(lane, result.reason, pause(lane.failures, self._rand))
        return False

    def _end(self, lane: Lane, hook: WebhookRow) -> None:
        """The hook of an account whose data are gone ends with the last event that is due to it."""
        self._queue.finish(lane)
        user = hook.get("user")
        if user and not self._store.users.exists(user) and not self._store.deleted_users.exists(user):
            end_hooks_of(self._store, user)

    def _remove(self, hook: ObjectId) -> None:
        self._store.webhooks.delete(hook)
        self._queue.drop_pending(hook)


def end_hooks_of(store: Store, user: ObjectId) -> None:
    """Remove the hooks of an account that is gone, except those with events still to be delivered."""
    for hook in store.webhooks.bound_to(user):
        if store.webhook_queue.is_idle(hook):
            store.webhooks.delete(hook)
