"""What an account may send: as whom, to how many in a day, how far ahead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from mail.compose import Mailbox, mailbox_field
from mail.domains import ascii_domain
from mail.headers import HeaderAddress, decoded_addresses, flat_addresses
from mail.mime_tree import header_lines, parsed_header
from mail.rewrite import fields_of, with_field
from problems import InvalidInput, RateLimited, TooManyItems
from security.normalize import domain_of, lookup_address, normalize_address, normalize_domain
from storage.accounts.documents import User
from storage.addresses.documents import Owner
from storage.base.counters import counter_key
from storage.store import Store

_MOST_AUTHORS = 10  # each is looked up
_LONGEST_FROM = 4096  # of a field beyond all measure, not all is read
MOST_HOPS = 30
"""A message that came through as many servers is in a loop: it is not forwarded."""
_LATEST = timedelta(days=3 * 365)


def permitted_sender(store: Store, user: Owner, address: str) -> str:
    """The address to send as: the given one if the account may use it, else the account's main address.

    It may use its main address, those that `fromWhitelist` matches, and those that resolve to it.
    """
    main = str(user.get("address") or "")
    given = normalize_address(address)
    if not given or given == main:
        return main
    if any(_matches(entry, given) for entry in user.get("fromWhitelist") or ()):
        return given
    found = store.addresses.resolve(given) if domain_of(given) else None
    return given if found and found.get("user") == user["_id"] else main


def under_own_name(store: Store, user: Owner, header: bytes) -> tuple[bytes, str]:
    """A header section that is from nobody but whom the account may write as, and the address of the first of these.

    All of From is looked at, however many fields and addresses there are.
    """
    parsed = parsed_header([line.decode("latin-1") for line in header_lines(header)])
    people = list(flat_addresses(decoded_addresses(parsed.get("from") or ())))
    first: HeaderAddress = people[0] if people else {"name": "", "address": ""}
    allowed = permitted_sender(store, user, str(first.get("address") or ""))
    fields = fields_of(header, "From")
    is_plain = len(fields) == 1 and len(fields[0]) < _LONGEST_FROM and 0 < len(people) <= _MOST_AUTHORS
    written = flat_addresses(parsed.get("from"))
    if (
        is_plain
        and all(_is_permitted(store, user, person["address"]) for person in people)
        and all(_is_canonical(person["address"]) for person in written)
    ):
        return header, allowed
    author = Mailbox(str(first.get("name") or ""), allowed)
    return with_field(header, "From", mailbox_field(author)), allowed


def _is_permitted(store: Store, user: Owner, address: str) -> bool:
    return permitted_sender(store, user, address) == normalize_address(address)


def _is_canonical(address: str) -> bool:
    """Return whether a domain is written as what it was checked as, so that nobody after us reads another one."""
    domain = domain_of(address).lower()
    canonical = normalize_domain(domain)
    return bool(canonical) and domain in (canonical, ascii_domain(canonical))


def _matches(entry: str, address: str) -> bool:
    """Return whether a pattern matches: `*suffix`, `prefix*`, or the address itself."""
    if entry.startswith("*"):
        return address.endswith(entry[1:])
    return address.startswith(entry[:-1]) if entry.endswith("*") else address == entry


class OwnAddresses:
    """Knows an account's own addresses; they are read once, when first needed."""

    def __init__(self, store: Store, user: Owner) -> None:
        self._store = store
        self._user = user
        self._views: set[str] | None = None

    def __contains__(self, address: object) -> bool:
        if self._views is None:
            self._views = self._store.addresses.views_of_user(self._user["_id"])
        return lookup_address(str(address)) in self._views


def sending_time(given: datetime | None, now: datetime) -> datetime:
    """When a message goes out that was scheduled for a time; now if that is past. Raises InvalidInput."""
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
    with _counted(store, counter_key("recipients", user["_id"]), count, limit, "sending"):
        yield


@contextmanager
def counted_forwards(store: Store, owner: Owner, count: int) -> Iterator[None]:
    """The same for targets that an account, or a forwarded address, forwards to. Raises RateLimited."""
    limit = int(owner.get("forwards") or store.settings.get("const:max:forwards"))
    with _counted(store, counter_key("forwards", owner["_id"]), count, limit, "forwarding"):
        yield


@contextmanager
def _counted(store: Store, key: str, count: int, limit: int, activity: str) -> Iterator[None]:
    counted = store.counters.add(key, count, limit)
    if not counted.allowed:
        until = f", it ends in {_span(counted.seconds_left)}" if counted.seconds_left else ""
        raise RateLimited(f"You reached a daily {activity} limit for your account{until}")
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
