"""Passwords that are known from a breach: at log-in, and where a new one is set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import structlog

from accounts.context import Context
from problems import InsecurePassword, summary
from storage.accounts.documents import User

_AGAIN_AFTER = timedelta(days=14)
_REFUSING = frozenset({"fail", "hardfail"})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BreachCheck:
    """Whether an account's password is known from a breach, and whether it logs nobody in because of that."""

    pwned: bool
    refused: bool = False


def check_breach(context: Context, account: User, password: str) -> BreachCheck:
    """Ask about a password that was right, now and then, and remember the answer.

    A password once found in a breach is refused at all later log-ins, too, where the setting refuses such passwords.
    """
    kind, known = context.rules.pwned_check, is_known_pwned(account)
    if kind == "none":
        return BreachCheck(known)
    answer = known if _is_recent(context, account) else _ask(context, account, password)
    pwned = known if answer is None else answer
    return BreachCheck(pwned, (pwned and kind in _REFUSING) or (answer is None and kind == "hardfail"))


def is_known_pwned(account: User) -> bool:
    """Return whether the account's password was found in a breach when it was last asked about."""
    return bool(account.get("passwordPwned"))


def _is_recent(context: Context, account: User) -> bool:
    last = account.get("lastPwnedCheck")
    return bool(last and context.now - last < _AGAIN_AFTER)


def _ask(context: Context, account: User, password: str) -> bool | None:
    """Return whether the password is known from a breach, None where the service did not answer."""
    try:
        pwned = context.rules.is_pwned(password)
    except OSError as error:
        log.warning("breached passwords could not be asked about", reason=summary(error))
        return None
    context.store.users.note_breach(account, pwned)
    return pwned


def refuse_breached(context: Context, password: str) -> None:
    """Raises InsecurePassword for a new password from a breach; a service that does not answer stops nobody."""
    try:
        pwned = context.rules.is_pwned(password)
    except OSError:
        return
    if pwned:
        raise InsecurePassword
