"""What a log-in does about a password that is known from a breach."""

from __future__ import annotations

from datetime import timedelta

import structlog

from handlers.authentication_check import failed, log_login, required_2fa
from handlers.call import Call
from storage.accounts.documents import User
from storage.base.database import Document

_AGAIN_AFTER = timedelta(days=14)
_REFUSING = frozenset({"fail", "hardfail"})

log = structlog.get_logger()


def check_breach(call: Call, user: User, body: Document, source: str) -> None:
    """Ask about a password that was right, now and then, and keep in `user` what is known.

    Raises AuthFailed, at this log-in and at all later ones, where the setting refuses such a password.
    """
    kind = call.rules.pwned_check
    if kind == "none":
        return
    answered = _ask(call, user, body["password"])
    if (user.get("passwordPwned") and kind in _REFUSING) or (not answered and kind == "hardfail"):
        log_login(call, user, body, "fail", source=source, **required_2fa(user, source))
        raise failed(call, user)


def _ask(call: Call, user: User, password: str) -> bool:
    """Whether it is known if the password is safe; False where the service did not answer."""
    last = user.get("lastPwnedCheck")
    if last and call.now - last < _AGAIN_AFTER:
        return True
    try:
        pwned = call.rules.is_pwned(password)
    except OSError as error:
        log.warning("breached passwords could not be asked about", reason=str(error))
        return False
    user["passwordPwned"] = pwned
    call.store.users.note_breach(user, pwned)
    return True
