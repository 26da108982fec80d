"""Notices to WildDuck's IMAP servers, which listen on a channel of Redis. Best effort: nobody depends on one."""

from __future__ import annotations

import time
from typing import Any

import orjson
import structlog
from bson import ObjectId

log = structlog.get_logger()

CHANNEL = "wd_events"
_SECONDS = 1.0
_PAUSE_SECONDS = 10.0


class Notices:
    """Publishes notices; without a URL it does nothing. A Redis that is down is left alone for a while."""

    def __init__(self, url: str = "") -> None:
        self._redis = _connect(url) if url else None
        self._not_before = 0.0

    def changed(self, user: ObjectId) -> None:
        """Something was added to the journal of an account."""
        self._publish({"e": str(user)})

    def logout(self, user: ObjectId, reason: str) -> None:
        """Close all IMAP sessions of an account, which are told the reason."""
        self._publish({"e": str(user), "p": {"command": "LOGOUT", "reason": reason}})

    def drop(self, user: ObjectId, mailbox: ObjectId) -> None:
        """Close the IMAP sessions that are in a mailbox which is no more."""
        self._publish({"e": str(user), "p": {"command": "DROP", "mailbox": str(mailbox)}})

    def close(self) -> None:
        """Let go of the connections."""
        if self._redis is not None:
            self._redis.close()

    def _publish(self, notice: dict[str, Any]) -> None:
        if self._redis is None or time.monotonic() < self._not_before:
            return
        import redis

        try:
            self._redis.publish(CHANNEL, orjson.dumps(notice))
        except redis.RedisError as error:
            self._not_before = time.monotonic() + _PAUSE_SECONDS
            log.warning("Redis takes no notices", reason=str(error)[:200], pause=_PAUSE_SECONDS)


def _connect(url: str) -> Any:
    """Raises ImportError where the library is missing: a URL that is set is meant to be used."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=Retry(NoBackoff(), 1), protocol=2
    )
