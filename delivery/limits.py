"""How much an account may send in a day, and to how many at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from bson import ObjectId

from problems import InvalidInput, Problem
from storage.database import Document
from storage.store import Store

_LATEST = timedelta(days=3 * 365)


def sending_time(given: datetime | None, now: datetime) -> datetime:
    """When a message goes out that shall at a given time; now where that is past. Raises InvalidInput."""
    if given and given > now + _LATEST:
        raise InvalidInput({"sendTime": '"sendTime" must be within three years'})
    return max(given or now, now)


def reserve_recipients(store: Store, user: Document, count: int) -> None:
    """Count recipients before anything is done. Raises Problem TooMany or RateLimitedError."""
    most = int(store.settings.get("const:max:rcpt_to"))
    if count > most:
        raise Problem("TooMany", f"Too many recipients, at most {most} are allowed", allowed=most)
    limit = int(user.get("recipients") or store.settings.get("const:max:recipients"))
    _reserve(store, f"wdr:{user['_id']}", count, limit, "sending")


def give_back_recipients(store: Store, user: Document, count: int) -> None:
    """Take the count back of a message that was not sent."""
    store.counters.give_back(f"wdr:{user['_id']}", count)


def reserve_forwards(store: Store, owner: Document, count: int) -> None:
    """Count targets that an account, or a forwarded address, forwards to. Raises Problem RateLimitedError."""
    limit = int(owner.get("forwards") or store.settings.get("const:max:forwards"))
    _reserve(store, _forwards(owner["_id"]), count, limit, "forwarding")


def give_back_forwards(store: Store, owner: Document, count: int) -> None:
    """Take the count back of a message that was not forwarded."""
    store.counters.give_back(_forwards(owner["_id"]), count)


def _forwards(owner: ObjectId) -> str:
    return f"wdf:{owner}"


def _reserve(store: Store, key: str, count: int, limit: int, what: str) -> None:
    counted = store.counters.add(key, count, limit)
    if not counted.allowed:
        until = f", it ends in {_span(counted.seconds_left)}" if counted.seconds_left else ""
        raise Problem("RateLimitedError", f"You reached a daily {what} limit for your account{until}")


def _span(seconds: int) -> str:
    for size, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{round(seconds / size)} {name}"
    return f"{seconds} seconds"
