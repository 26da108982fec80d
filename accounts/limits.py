"""Rate limits: how often secrets of an account, or from one address, may be guessed at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from bson import ObjectId

from accounts.context import Context
from problems import Problem, RateLimited
from storage.base.attempts import Limit, Reservation

_FAILURES, _WINDOW = 12, 120
_CODE_FAILURES, _CODE_WINDOW = 6, 180
_IP_WINDOW = 300
_PAUSES = (0.05, 0.1, 0.2, *[0.4] * 20)


@dataclass(slots=True)
class Guess:
    """One guess at a secret. It is wrong when it is marked so, or when a Problem ends it."""

    wrong: bool = False


def password_limit(context: Context, subject: ObjectId | str) -> Limit | None:
    """Of an account's password; `subject` is its id, or the name that no account has."""
    return None if _is_exempt(context) else Limit(f"auth_user:{subject}", _FAILURES, _WINDOW)


def asp_limit(context: Context, user: ObjectId) -> Limit | None:
    """Of an account's application passwords, which go on while others guess at its password."""
    return None if _is_exempt(context) else Limit(f"auth_user:asp:{user}", _FAILURES, _WINDOW)


def code_limit(context: Context, user: ObjectId) -> Limit | None:
    """Of an account's TOTP codes."""
    return None if _is_exempt(context) else Limit(_codes(user), _CODE_FAILURES, _CODE_WINDOW)


def _codes(user: ObjectId) -> str:
    return f"auth_user:totp:{user}"


def forget_codes(context: Context, user: ObjectId) -> None:
    """Forget the wrong codes before a right one."""
    context.store.attempts.forget((_codes(user),))


def ip_limit(context: Context) -> Limit | None:
    """Of one client address, for all accounts together."""
    if not context.client_ip or not context.rules.ip_failures or _is_exempt(context):
        return None
    return Limit(f"auth_ip:{_known_as(context.client_ip)}", context.rules.ip_failures, _IP_WINDOW)


def _known_as(ip: str) -> str:
    """An IPv4 address, or the network of an IPv6 one: who has one of its addresses has all 2⁶⁴ (RFC 6177 §2)."""
    address = ip_address(ip)
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return str(ip_network((int(address), 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_exempt(context: Context) -> bool:
    """Return whether the client's address is exempt from all rate limits."""
    if not context.client_ip or not context.rules.free_networks:
        return False
    return any(ip_address(context.client_ip) in network for network in context.rules.free_networks)


def forget_failures(context: Context, user: ObjectId) -> None:
    """Forget the failures of an account, since its owner was here."""
    context.store.attempts.forget((f"auth_user:{user}", f"auth_user:asp:{user}"))


@contextmanager
def limited(context: Context, limit: Limit | None) -> Iterator[Guess]:
    """Hold one place of a rate limit while a guess is checked. Raises RateLimited where none is left."""
    guess = Guess()
    if limit is None:
        yield guess
        return
    place = _place(context, limit)
    try:
        yield guess
    except RateLimited:
        raise
    except Problem:
        guess.wrong = True
        raise
    finally:
        end = context.store.attempts.count if guess.wrong else context.store.attempts.give_back
        end(limit, place.id)


def _place(context: Context, limit: Limit) -> Reservation:
    """Reserve a place, waiting for guesses in flight: where they turn out right, there is room for this one."""
    for pause in _PAUSES:
        place = context.store.attempts.reserve(limit)
        if place.granted:
            return place
        if not place.busy:
            break
        time.sleep(pause)
    raise RateLimited
