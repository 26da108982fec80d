"""Two-factor authentication: TOTP, a second factor of the site's own, and the end of both."""

from __future__ import annotations

from datetime import timedelta

from bson import ObjectId

from handlers.answers import enabled_2fa
from handlers.authentication_limits import code_limit, forget_codes, limited
from handlers.call import Call
from handlers.second_factor import TOTP, complete_login, confirm, require_login, use_code
from problems import (
    CustomDisabled,
    CustomEnabled,
    InvalidInput,
    InvalidSetupCode,
    TotpDisabled,
    TotpEnabled,
    UserNotFound,
)
from security.totp import matching_step, new_seed, otpauth_url, qr_code
from storage.accounts.documents import User
from storage.accounts.second_factors import has_pending
from storage.base.database import Document

_SET_UP = timedelta(hours=6)
_FIELDS = dict.fromkeys(
    (
        "username", "password", "authVersion", "enabled2fa", "seed", "pendingSeed", "pendingSeedChanged", "disabled",
        "suspended",
    ),
    1,
)  # fmt: skip
_DONE: Document = {"success": True}


def setup_totp2_fa(call: Call, user: ObjectId, body: Document) -> Document:
    """Make a seed and show it; it counts once a code of it was given to `enableTotp2FA`."""
    account = _without_totp(call, user)
    confirm(call, account, body.get("existingPassword"))
    seed = new_seed()
    url = otpauth_url(seed, body.get("label") or account["username"], body["issuer"])
    try:
        code = call.offload(qr_code, url)
    except ValueError as error:
        text = '"label" and "issuer" are together too long for a QR code'
        raise InvalidInput({"label": text}) from error
    sealed = call.offload(call.rules.totp_keys.encrypt, seed)
    if not call.store.second_factors.set_pending(user, sealed):
        raise TotpEnabled
    return {"success": True, "seed": seed, "qrcode": code}


def enable_totp2_fa(call: Call, user: ObjectId, body: Document) -> Document:
    """Switch TOTP on with a code of the seed that was set up."""
    account = _without_totp(call, user)
    if not has_pending(account, since=call.now - _SET_UP):
        raise TotpDisabled("TOTP 2FA is not initialized for this user")
    step = _set_up_step(call, account, body["token"])
    if not call.store.second_factors.enable_totp(user, account["pendingSeed"], step):
        raise TotpEnabled
    forget_codes(call, user)
    _log(call, user, "enable 2fa totp", "success")
    _end_other_sessions(call, user)
    return _DONE


def _set_up_step(call: Call, account: User, code: str) -> int:
    """The step whose code this is, by the seed that was set up. Raises Problem: InvalidSetupCode, RateLimited."""
    user = account["_id"]
    with limited(call, code_limit(call, user)):
        seed = call.offload(call.rules.totp_keys.decrypt, account["pendingSeed"])
        step = matching_step(seed, code, call.now, call.rules.totp_window)
        if step is None:
            _log(call, user, "enable 2fa totp", "fail")
            raise InvalidSetupCode
    return step


def _without_totp(call: Call, user: ObjectId) -> User:
    account = call.store.users.get(user, _FIELDS)
    if TOTP in enabled_2fa(account):
        raise TotpEnabled
    return account


def check_totp2_fa(call: Call, user: ObjectId, body: Document) -> Document:
    """Use up a code; with a nonce this completes the log-in that waits for it.

    The nonce goes only after the code was found right, so that a mistyped one can be followed by another.
    """
    account = call.store.users.get(user, _FIELDS)
    nonce = body.get("totpNonce")
    if nonce is None:
        use_code(call, account, body["token"])
        return _DONE
    require_login(call, account, nonce, TOTP)
    use_code(call, account, body["token"])
    return {"success": True, **complete_login(call, account, nonce, TOTP)}


def disable_totp2_fa(
    call: Call, user: ObjectId, existing_password: str | None = None, token: str | None = None
) -> Document:
    """Switch TOTP off; other second factors stay."""
    account = call.store.users.get(user, _FIELDS)
    if TOTP not in enabled_2fa(account):
        raise TotpDisabled
    confirm(call, account, existing_password, token)
    if not call.store.second_factors.disable_totp(user):
        raise TotpDisabled
    _log(call, user, "disable 2fa totp")
    return _DONE


def enable_custom2_fa(call: Call, user: ObjectId, body: Document) -> Document:
    """Switch on a second factor that the site checks by itself."""
    account = call.store.users.get(user, _FIELDS)
    if "custom" in enabled_2fa(account):
        raise CustomEnabled
    confirm(call, account, body.get("existingPassword"), body.get("token"))
    if not call.store.second_factors.enable_custom(user):
        raise CustomEnabled
    _log(call, user, "enable 2fa custom", "success")
    _end_other_sessions(call, user)
    return _DONE


def disable_custom2_fa(
    call: Call, user: ObjectId, existing_password: str | None = None, token: str | None = None
) -> Document:
    """Switch off the second factor of the site's own; others stay."""
    account = call.store.users.get(user, _FIELDS)
    if "custom" not in enabled_2fa(account):
        raise CustomDisabled
    confirm(call, account, existing_password, token)
    if not call.store.second_factors.disable_custom(user):
        raise CustomDisabled
    _log(call, user, "disable 2fa custom")
    return _DONE


def disable2_fa(
    call: Call, user: ObjectId, existing_password: str | None = None, token: str | None = None
) -> Document:
    """Switch off all second factors; seeds and security keys are gone with it."""
    confirm(call, call.store.users.get(user, _FIELDS), existing_password, token)
    if not call.store.second_factors.clear(user):
        raise UserNotFound
    _log(call, user, "disable 2fa")
    return _DONE


def _log(call: Call, user: ObjectId, action: str, result: str | None = None) -> None:
    call.log_event(user, action, result=result, role=call.caller.role)


def _end_other_sessions(call: Call, user: ObjectId) -> None:
    call.store.notices.log_out(user, "Authentication required")
    call.keep_session(user)
