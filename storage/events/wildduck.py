"""Notifies a WildDuck on the same database of changes, through its Redis. Best effort: nothing depends on it.

Its IMAP servers listen on a channel; its API caches the counts of mailboxes, which a change of ours makes stale.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from bson import ObjectId

from problems import summary
from storage.events.documents import Notice

log = structlog.get_logger()

CHANNEL = "wd_events"
_SECONDS = 1.0
_PAUSE_SECONDS = 10.0


class WildDuck:
    """WildDuck's Redis; without a URL nothing is sent. A Redis that is down is left alone for a while."""

    def __init__(self, url: str = "") -> None:
        self._redis = _connect(url) if url else None
        self._not_before = 0.0

    def changed(self, user: ObjectId, mailbox: ObjectId) -> None:
        """Have sessions read the journal, which got new entries, and drop the cached counts of the mailbox."""
        self._publish({"e": str(user)}, f"total:{mailbox}", f"unseen:{mailbox}")

    def send(self, user: ObjectId, payload: Notice) -> None:
        """Send a command such as LOGOUT or DROP to the sessions of an account."""
        self._publish({"e": str(user), "p": payload})

    def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            self._redis.close()

    def _publish(self, notice: Mapping[str, object], *stale: str) -> None:
        if self._redis is None or time.monotonic() < self._not_before:
            return
        import redis

        try:
            with self._redis.pipeline(transaction=False) as commands:
                if stale:
                    commands.delete(*stale)
                commands.publish(CHANNEL, orjson.dumps(notice, default=str))
                commands.execute()
        except redis.RedisError as error:
            self._not_before = time.monotonic() + _PAUSE_SECONDS
            log.warning("Redis takes no notices", reason=summary(error), pause=_PAUSE_SECONDS)


def _connect(url: str) -> Any:
    """Raises ImportError where the library is missing: a URL that is set is meant to be used."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=Retry(NoBackoff(), 1), protocol=2
    )
