"""Second factors of an account: TOTP and one of the site's own, switched on and off, and codes used up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bson import ObjectId

from accounts.context import Context
from accounts.limits import code_limit, forget_codes, limited
from accounts.passwords import is_password, prove_password
from problems import (
    ConfirmationRequired,
    CustomDisabled,
    CustomEnabled,
    InvalidInput,
    InvalidSetupCode,
    InvalidToken,
    RateLimited,
    TotpDisabled,
    TotpEnabled,
    UserNotFound,
)
from security.totp import matching_step, new_seed, otpauth_url, qr_code
from storage.accounts.documents import User
from storage.accounts.second_factors import has_pending

TOTP: Final = "totp"
CUSTOM: Final = "custom"
_SET_UP = timedelta(hours=6)
_USED = "This code has already been used, please try again with a new code"
_FIELDS = dict.fromkeys(
    (
        "username", "password", "authVersion", "enabled2fa", "seed", "pendingSeed", "pendingSeedChanged", "disabled",
        "suspended",
    ),
    1,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TotpSetup:
    """A seed that waits for its first code, and the QR code (a `data:` URL) that shows it to an authenticator."""

    seed: str
    qr_code: str


def enabled_methods(account: User) -> list[str]:
    """The second factors of an account; old documents have a boolean, or `u2f`."""
    methods = account.get("enabled2fa") or []
    if not isinstance(methods, list):
        return [TOTP]
    known = [method for method in methods if method != "u2f"]
    return [*known, "webauthn"] if "u2f" in methods and "webauthn" not in known else known


def read_account(context: Context, user: ObjectId) -> User:
    """An account with the fields that second factors depend on. Raises UserNotFound."""
    return context.store.users.get(user, _FIELDS)


def set_up_totp(
    context: Context, user: ObjectId, *, issuer: str, label: str | None, password: str | None
) -> TotpSetup:
    """Make a seed, which counts once a code of it was given to `enable_totp`. Raises TotpEnabled, InvalidInput."""
    account = _without_totp(context, user)
    confirm(context, account, password)
    seed = new_seed()
    url = otpauth_url(seed, label or account["username"], issuer)
    try:
        code = context.offload(qr_code, url)
    except ValueError as error:
        text = '"label" and "issuer" are together too long for a QR code'
        raise InvalidInput({"label": text}) from error
    sealed = context.offload(context.rules.totp_keys.encrypt, seed)
    if not context.store.second_factors.set_pending(user, sealed):
        raise TotpEnabled
    return TotpSetup(seed, code)


def enable_totp(context: Context, user: ObjectId, code: str) -> None:
    """Switch TOTP on with a code of the seed that was set up.

    Raises Problem: TotpEnabled, TotpDisabled, InvalidSetupCode, RateLimited.
    """
    account = _without_totp(context, user)
    if not has_pending(account, since=context.now - _SET_UP):
        raise TotpDisabled("TOTP 2FA is not initialized for this user")
    step = _set_up_step(context, account, code)
    if not context.store.second_factors.enable_totp(user, account["pendingSeed"], step):
        raise TotpEnabled
    forget_codes(context, user)
    _log(context, user, "enable 2fa totp", "success")
    _end_other_sessions(context, user)


def _without_totp(context: Context, user: ObjectId) -> User:
    account = read_account(context, user)
    if TOTP in enabled_methods(account):
        raise TotpEnabled
    return account


def _set_up_step(context: Context, account: User, code: str) -> int:
    """The step whose code this is, by the seed that was set up. Raises Problem: InvalidSetupCode, RateLimited."""
    user = account["_id"]
    with limited(context, code_limit(context, user)):
        seed = context.offload(context.rules.totp_keys.decrypt, account["pendingSeed"])
        step = matching_step(seed, code, context.now, context.rules.totp_window)
        if step is None:
            _log(context, user, "enable 2fa totp", "fail")
            raise InvalidSetupCode
    return step


def disable_totp(context: Context, user: ObjectId, password: str | None, code: str | None) -> None:
    """Switch TOTP off; other second factors stay. Raises TotpDisabled, or what `confirm` raises."""
    account = read_account(context, user)
    if TOTP not in enabled_methods(account):
        raise TotpDisabled
    confirm(context, account, password, code)
    if not context.store.second_factors.disable_totp(user):
        raise TotpDisabled
    _log(context, user, "disable 2fa totp")


def enable_custom(context: Context, user: ObjectId, password: str | None, code: str | None) -> None:
    """Switch on a second factor that the site checks by itself. Raises CustomEnabled, or what `confirm` raises."""
    account = read_account(context, user)
    if CUSTOM in enabled_methods(account):
        raise CustomEnabled
    confirm(context, account, password, code)
    if not context.store.second_factors.enable_custom(user):
        raise CustomEnabled
    _log(context, user, "enable 2fa custom", "success")
    _end_other_sessions(context, user)


def disable_custom(context: Context, user: ObjectId, password: str | None, code: str | None) -> None:
    """Switch off the site's own second factor; others stay. Raises CustomDisabled, or what `confirm` raises."""
    account = read_account(context, user)
    if CUSTOM not in enabled_methods(account):
        raise CustomDisabled
    confirm(context, account, password, code)
    if not context.store.second_factors.disable_custom(user):
        raise CustomDisabled
    _log(context, user, "disable 2fa custom")


def disable_all(context: Context, user: ObjectId, password: str | None, code: str | None) -> None:
    """Switch off all second factors, and remove seeds and security keys. Raises what `confirm` raises."""
    confirm(context, read_account(context, user), password, code)
    if not context.store.second_factors.clear(user):
        raise UserNotFound
    _log(context, user, "disable 2fa")


def confirm(context: Context, account: User, password: str | None = None, code: str | None = None) -> None:
    """Check what is given to show that the user is present, and not only somebody with their token.

    Raises Problem: AuthFailed, RateLimited, ConfirmationRequired where it must be shown and is not, or what
    `use_code` raises.
    """
    if password:
        labels = {"source": "master", "requiredScope": "master", "protocol": "API"}
        prove_password(context, account, password, is_password, "authentication", **labels)
    elif code:
        use_code(context, account, code)
    else:
        demand_proof(context)


def demand_proof(context: Context) -> None:
    """Raises ConfirmationRequired where a user changes second factors with nothing but their own token."""
    if context.rules.confirm_2fa and context.caller.role == "user":
        raise ConfirmationRequired


def use_code(context: Context, account: User, code: str) -> None:
    """Use up a TOTP code of the account. Raises Problem: TotpDisabled, RateLimited, InvalidToken.

    Once the code was compared, the outcome is logged. A right code that was used before is no guess, so it does not
    count as a wrong one.
    """
    seed = account.get("seed")
    if TOTP not in enabled_methods(account) or not seed:
        raise TotpDisabled
    with limited(context, code_limit(context, account["_id"])):
        opened = context.offload(context.rules.totp_keys.open, seed)
        _use_step(context, account, matching_step(opened.text, code, context.now, context.rules.totp_window))
    _log(context, account["_id"], "check 2fa totp", "success")
    forget_codes(context, account["_id"])
    if opened.is_outdated:
        sealed = context.offload(context.rules.totp_keys.encrypt, opened.text)
        context.store.second_factors.replace_seed(account["_id"], seed, sealed)


def _use_step(context: Context, account: User, step: int | None) -> None:
    if step is None:
        _log(context, account["_id"], "check 2fa totp", "fail")
        raise InvalidToken("Failed to validate TOTP")
    if not context.store.second_factors.accept_step(account["_id"], account["seed"], step):
        _log(context, account["_id"], "check 2fa totp", "fail")
        raise RateLimited(_USED)


def _log(context: Context, user: ObjectId, action: str, result: str | None = None) -> None:
    context.log_event(user, action, result=result, role=context.caller.role)


def _end_other_sessions(context: Context, user: ObjectId) -> None:
    context.store.notices.log_out(user, "Authentication required")
    context.keep_session(user)
