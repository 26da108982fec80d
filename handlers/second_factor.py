"""The second step of a log-in: what a right password yields, what a code is worth, how a log-in is completed."""

from __future__ import annotations

from handlers.answers import enabled_2fa
from handlers.authentication_limits import begin_anew, code_limit, forget_codes, limited, password_limit
from handlers.call import Call
from problems import (
    AuthFailed,
    ConfirmationRequired,
    InvalidToken,
    InvalidTotpNonce,
    RateLimited,
    TotpDisabled,
)
from security.passwords import UnknownHash, verify_password
from security.totp import matching_step
from storage.accounts.documents import User
from storage.base.database import Document

TOTP = "totp"
_CUSTOM = "custom"
_USED = "This code has already been used, please try again with a new code"


def after_password(call: Call, user: User, methods: list[str], *, token: bool) -> Document:
    """What a log-in answers after its first step: a token, a nonce that names it in its second step, or both.

    A method of the site's own is the site's to check, so it holds nothing back. A log-in without a token gets a
    nonce as well, which completes it and yields no token.
    """
    pending = [method for method in methods if method != _CUSTOM]
    if not pending:
        return {"token": issue_token(call, user)} if token else {}
    at_once = token and not call.rules.strict_2fa
    nonce = call.store.pending_logins.start(user, pending, yields_token=token and not at_once)
    answer = {"token": issue_token(call, user)} if at_once else {"twoFactorNonce": nonce}
    return {**answer, "totpNonce": nonce} if TOTP in pending else answer


def issue_token(call: Call, user: User) -> str:
    """A session token of the account."""
    return call.store.tokens.issue(user, secret=call.rules.secret, ttl=call.rules.token_ttl)


def require_login(call: Call, user: User, nonce: str, method: str) -> None:
    """Raises InvalidTotpNonce where no such log-in waits, AuthFailed where the account was shut meanwhile."""
    if not call.store.pending_logins.find(nonce, user, method):
        raise InvalidTotpNonce
    if user.get("disabled") or user.get("suspended"):
        raise AuthFailed(id=user["_id"])


def complete_login(call: Call, user: User, nonce: str, method: str) -> Document:
    """End a pending log-in, with the token that it asked for. Raises InvalidTotpNonce."""
    login = call.store.pending_logins.take(nonce, user, method)
    if not login:
        raise InvalidTotpNonce
    return {"token": issue_token(call, user)} if login["tokenRequested"] else {}


def use_code(call: Call, user: User, code: str) -> None:
    """Use up a TOTP code of the account. Raises Problem: TotpDisabled, RateLimited, InvalidToken.

    Once the code was compared, the outcome is logged. A right code that was used before is no guess, so it does not
    count as a wrong one.
    """
    seed = user.get("seed")
    if TOTP not in enabled_2fa(user) or not seed:
        raise TotpDisabled
    with limited(call, code_limit(call, user["_id"])):
        opened = call.offload(call.rules.totp_keys.open, seed)
        _use_step(call, user, matching_step(opened.text, code, call.now, call.rules.totp_window))
    _log_check(call, user, "success")
    forget_codes(call, user["_id"])
    if opened.is_outdated:
        sealed = call.offload(call.rules.totp_keys.encrypt, opened.text)
        call.store.second_factors.replace_seed(user["_id"], seed, sealed)


def _use_step(call: Call, user: User, step: int | None) -> None:
    if step is None:
        _log_check(call, user, "fail")
        raise InvalidToken("Failed to validate TOTP")
    if not call.store.second_factors.accept_step(user["_id"], user["seed"], step):
        _log_check(call, user, "fail")
        raise RateLimited(_USED)


def _log_check(call: Call, user: User, result: str) -> None:
    call.log_event(user["_id"], "check 2fa totp", result=result, role=call.caller.role)


def confirm(call: Call, user: User, password: str | None = None, code: str | None = None) -> None:
    """Check what is given to show that the user is there, and not only somebody with their token.

    Raises Problem: AuthFailed, RateLimited, ConfirmationRequired where it must be shown and is not, or what
    `use_code` raises.
    """
    if password:
        _check_password(call, user, password)
    elif code:
        use_code(call, user, code)
    else:
        demand_proof(call)


def demand_proof(call: Call) -> None:
    """Raises ConfirmationRequired where a user changes second factors with nothing but their own token."""
    if call.rules.confirm_2fa and call.caller.role == "user":
        raise ConfirmationRequired


def _check_password(call: Call, user: User, password: str) -> None:
    stored = user.get("password") or ""
    with limited(call, password_limit(call, user["_id"])):
        if not stored or not call.offload(_is_password, password, stored):
            fields = {"source": "master", "requiredScope": "master", "protocol": "API"}
            call.log_event(user["_id"], "authentication", result="fail", **fields)
            raise AuthFailed
    begin_anew(call, user["_id"])


def _is_password(password: str, stored: str) -> bool:
    """A stored text that is no hash is nobody's password."""
    try:
        return verify_password(password, stored)
    except UnknownHash:
        return False
