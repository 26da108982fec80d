"""Passwords of an account: checked as a guess, hashed, changed, reset."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from bson import ObjectId

from accounts.breach import refuse_breached
from accounts.context import Context
from accounts.limits import forget_failures, limited, password_limit
from problems import AuthFailed, UnusableHash
from security.passwords import (
    UnknownHash,
    check_hash,
    hash_password,
    temporary_password,
    verify_password,
)
from storage.accounts.documents import TemporaryPassword, User
from storage.accounts.user_changes import UserChange

TEMPORARY_LASTS = timedelta(hours=24)
"""How long a temporary password counts, once it has begun to."""


def prove_password(
    context: Context,
    account: User,
    password: str,
    matches: Callable[[str, str], bool],
    action: str,
    **labels: str,
) -> None:
    """Check that a password is the account's own. It counts as a guess, and a wrong one is logged as `action`.

    Raises Problem: AuthFailed, RateLimited, or what `matches` raises.
    """
    stored = account.get("password") or ""
    with limited(context, password_limit(context, account["_id"])):
        if not stored or not context.offload(matches, password, stored):
            context.log_event(account["_id"], action, result="fail", **labels)
            raise AuthFailed
    forget_failures(context, account["_id"])


def is_password(password: str, stored: str) -> bool:
    """Return whether it is the password that was hashed; a stored text that is no hash is nobody's."""
    try:
        return verify_password(password, stored)
    except UnknownHash:
        return False


def check_existing_password(context: Context, account: User, given: str | None, protocol: str) -> None:
    """A given one must be right, and counts as a guess: a stolen session must not find out what the password is.

    Raises Problem: AuthFailed, RateLimited, UnusableHash where what is stored is no hash.
    """
    if given and account.get("password"):
        prove_password(context, account, given, _matches, "password change", protocol=protocol)


def _matches(password: str, stored: str) -> bool:
    try:
        return verify_password(password, stored)
    except UnknownHash as error:
        raise UnusableHash from error


def password_hash(context: Context, password: str, *, is_hashed: bool, allow_breached: bool) -> str:
    """The hash to store; empty for no password. Raises Problem: UnusableHash, InsecurePassword."""
    if not password:
        return ""
    if is_hashed:
        return _usable_hash(password)
    if not allow_breached:
        refuse_breached(context, password)
    return context.offload(hash_password, password, context.rules.password_scheme)


def _usable_hash(text: str) -> str:
    try:
        check_hash(text)
    except UnknownHash as error:
        raise UnusableHash from error
    return text


def reset_password(context: Context, user: ObjectId, valid_after: datetime | None) -> tuple[str, datetime]:
    """Give an account a temporary password and end its sessions; return the password and when it begins to count.

    Raises UserNotFound.
    """
    context.store.users.require(user)
    password = temporary_password()
    hashed = context.offload(hash_password, password, context.rules.password_scheme)
    now = context.now
    begins = valid_after or now
    temporary = TemporaryPassword(validAfter=begins, password=hashed, created=max(now, begins))
    context.store.users.apply(user, UserChange(temporary=temporary, end_sessions=True))
    context.store.notices.log_out(user, "Authentication required")
    context.log_event(user, "reset")
    return password, begins
