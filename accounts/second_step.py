"""The second step of a log-in: what a right password yields, and how a code completes the log-in."""

from __future__ import annotations

from dataclasses import dataclass

from bson import ObjectId

from accounts.context import Context
from accounts.login import Login
from accounts.second_factors import CUSTOM, TOTP, read_account, use_code
from problems import AuthFailed, InvalidTotpNonce
from storage.accounts.documents import User
from storage.accounts.user_fields import is_closed


@dataclass(frozen=True, slots=True)
class Grant:
    """What a log-in yields: an access token, a nonce that names the log-in in its second step, or both."""

    token: str | None = None
    nonce: str | None = None


def grant(context: Context, login: Login, *, with_token: bool) -> Grant:
    """End the first step of a log-in, with a token if one is asked for and nothing is still required.

    A method of the site's own is the site's to check, so it holds nothing back. A log-in without a token gets a
    nonce as well, which completes it and yields no token.
    """
    pending = [method for method in login.required_factors if method != CUSTOM]
    if not pending:
        return Grant(_issue_token(context, login.account) if with_token else None)
    at_once = with_token and not context.rules.strict_2fa
    yields_token = with_token and not at_once
    nonce = context.store.pending_logins.start(login.account, pending, yields_token=yields_token)
    return Grant(_issue_token(context, login.account) if at_once else None, nonce)


def check_totp(context: Context, user: ObjectId, code: str, nonce: str | None) -> str | None:
    """Use up a code. With a nonce, complete the log-in that waits for it, and return the token that it asked for.

    The nonce goes only after the code was found right, so that a mistyped one can be followed by another. Raises
    Problem: InvalidTotpNonce, AuthFailed, or what `use_code` raises.
    """
    account = read_account(context, user)
    if nonce is None:
        use_code(context, account, code)
        return None
    _require_login(context, account, nonce)
    use_code(context, account, code)
    return _complete_login(context, account, nonce)


def _require_login(context: Context, account: User, nonce: str) -> None:
    """Raises InvalidTotpNonce where no such log-in waits, AuthFailed where the account has been closed."""
    if not context.store.pending_logins.find(nonce, account, TOTP):
        raise InvalidTotpNonce
    if is_closed(account):
        raise AuthFailed(id=account["_id"])


def _complete_login(context: Context, account: User, nonce: str) -> str | None:
    login = context.store.pending_logins.take(nonce, account, TOTP)
    if not login:
        raise InvalidTotpNonce
    return _issue_token(context, account) if login["tokenRequested"] else None


def _issue_token(context: Context, account: User) -> str:
    """A session token of the account."""
    return context.store.tokens.issue(account, secret=context.rules.secret, ttl=context.rules.token_ttl)
