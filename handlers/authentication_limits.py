"""How often secrets of an account, or from one address, may be guessed at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from bson import ObjectId

from handlers.call import Call
from problems import Problem, RateLimited
from storage.accounts.attempts import Limit, Reservation

_FAILURES, _WINDOW = 12, 120
_CODE_FAILURES, _CODE_WINDOW = 6, 180
_IP_WINDOW = 300
_PAUSES = (0.05, 0.1, 0.2, *[0.4] * 20)


@dataclass(slots=True)
class Guess:
    """One guess at a secret. It is wrong when it is said to be, or when a Problem tells of it."""

    wrong: bool = False


def password_limit(call: Call, subject: ObjectId | str) -> Limit | None:
    """Of an account's password; `subject` is its id, or the name that no account has."""
    return None if _is_free(call) else Limit(f"auth_user:{subject}", _FAILURES, _WINDOW)


def asp_limit(call: Call, user: ObjectId) -> Limit | None:
    """Of an account's application passwords, which go on while others guess at its password."""
    return None if _is_free(call) else Limit(f"auth_user:asp:{user}", _FAILURES, _WINDOW)


def code_limit(call: Call, user: ObjectId) -> Limit | None:
    """Of an account's TOTP codes."""
    return None if _is_free(call) else Limit(_codes(user), _CODE_FAILURES, _CODE_WINDOW)


def _codes(user: ObjectId) -> str:
    return f"auth_user:totp:{user}"


def forget_codes(call: Call, user: ObjectId) -> None:
    """Forget the wrong codes before a right one."""
    call.store.attempts.forget((_codes(user),))


def ip_limit(call: Call) -> Limit | None:
    """Of one client address, for all accounts together."""
    if not call.client_ip or not call.rules.ip_failures or _is_free(call):
        return None
    return Limit(f"auth_ip:{_known_as(call.client_ip)}", call.rules.ip_failures, _IP_WINDOW)


def _known_as(ip: str) -> str:
    """An IPv4 address, or the network of an IPv6 one: who has one of its addresses has all 2⁶⁴ (RFC 6177 §2)."""
    address = ip_address(ip)
    if isinstance(address, IPv6Address) and not address.ipv4_mapped:
        return str(ip_network((int(address), 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_free(call: Call) -> bool:
    if not call.client_ip or not call.rules.free_networks:
        return False
    return any(ip_address(call.client_ip) in network for network in call.rules.free_networks)


def begin_anew(call: Call, user: ObjectId) -> None:
    """Forget the failures of an account, since its owner was here."""
    call.store.attempts.forget((f"auth_user:{user}", f"auth_user:asp:{user}"))


@contextmanager
def limited(call: Call, limit: Limit | None) -> Iterator[Guess]:
    """Hold one place of a limit while a guess is looked at. Raises RateLimited where none is left."""
    guess = Guess()
    if limit is None:
        yield guess
        return
    place = _place(call, limit)
    try:
        yield guess
    except RateLimited:
        raise
    except Problem:
        guess.wrong = True
        raise
    finally:
        end = call.store.attempts.count if guess.wrong else call.store.attempts.give_back
        end(limit, place.id)


def _place(call: Call, limit: Limit) -> Reservation:
    """Wait for guesses in flight: where they turn out right, there is room for this one."""
    for pause in _PAUSES:
        place = call.store.attempts.reserve(limit)
        if place.granted:
            return place
        if not place.busy:
            break
        time.sleep(pause)
    raise RateLimited
