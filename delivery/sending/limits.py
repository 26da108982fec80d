"""How much an account may send in a day, and to how many at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from problems import InvalidInput, RateLimited, TooManyItems
from storage.accounts.documents import User
from storage.addresses.documents import Owner
from storage.store import Store

_LATEST = timedelta(days=3 * 365)


def sending_time(given: datetime | None, now: datetime) -> datetime:
    """When a message goes out that shall at a given time; now where that is past. Raises InvalidInput."""
    if given and given > now + _LATEST:
        raise InvalidInput({"sendTime": '"sendTime" must be within three years'})
    return max(given or now, now)


@contextmanager
def counted_recipients(store: Store, user: User, count: int) -> Iterator[None]:
    """Count recipients of what the block sends; if it fails, they do not count.

    Raises TooManyItems or RateLimited before anything is done.
    """
    most = int(store.settings.get("const:max:rcpt_to"))
    if count > most:
        raise TooManyItems(f"Too many recipients, at most {most} are allowed", allowed=most)
    limit = int(user.get("recipients") or store.settings.get("const:max:recipients"))
    with _counted(store, f"wdr:{user['_id']}", count, limit, "sending"):
        yield


@contextmanager
def counted_forwards(store: Store, owner: Owner, count: int) -> Iterator[None]:
    """The same for targets that an account, or a forwarded address, forwards to. Raises RateLimited."""
    limit = int(owner.get("forwards") or store.settings.get("const:max:forwards"))
    with _counted(store, f"wdf:{owner['_id']}", count, limit, "forwarding"):
        yield


@contextmanager
def _counted(store: Store, key: str, count: int, limit: int, what: str) -> Iterator[None]:
    counted = store.counters.add(key, count, limit)
    if not counted.allowed:
        until = f", it ends in {_span(counted.seconds_left)}" if counted.seconds_left else ""
        raise RateLimited(f"You reached a daily {what} limit for your account{until}")
    try:
        yield
    except BaseException:
        store.counters.give_back(key, count)
        raise


def _span(seconds: int) -> str:
    for size, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{round(seconds / size)} {name}"
    return f"{seconds} seconds"
