"""Whether a password is right: the account's own, a temporary one, or one of its application passwords."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NoReturn

import structlog
from bson import ObjectId

from handlers.answers import enabled_2fa
from handlers.authentication_limits import asp_limit, limited, password_limit
from handlers.call import Call
from problems import AuthFailed, InvalidAuthScope, Problem, TempPasswordNotYetValid
from security.asps import as_asp, opens, selector
from security.normalise import username_view
from security.passwords import DUMMY_HASHES, UnknownHash, hash_password, needs_rehash, verify_password
from security.roles import permits
from storage.accounts.documents import TemporaryPassword, User
from storage.base.database import Document

MASTER, TEMPORARY, ASP = "master", "temporary", "asp"
_TEMPORARY_LASTS = timedelta(hours=24)

log = structlog.get_logger()


def find_account(call: Call, name: str) -> User | None:
    """By user name, or by an address of the account; wildcards and forwarded addresses log nobody in."""
    store = call.store
    if "*" in name:
        return None
    if "@" in name and (address := store.addresses.resolve(name)):
        return store.users.find(address["user"]) if address.get("user") else None
    return store.users.by_username(name)


def refuse_unknown(call: Call, body: Document) -> NoReturn:
    """Take as long as for an account that is there. Raises AuthFailed."""
    with limited(call, password_limit(call, username_view(body["username"]))):
        _spend_time(call, body)
        raise AuthFailed


def refuse_shut(call: Call, user: User, body: Document) -> None:
    """Raises Problem for an account, or a service of it, that is shut; its password is not looked at."""
    state = next((name for name in ("disabled", "suspended") if user.get(name)), None)
    if not state and body["scope"] not in (user.get("disabledScopes") or ()):
        return
    log_login(call, user, body, state)
    _spend_time(call, body)
    if state:
        raise failed(call, user)
    raise InvalidAuthScope("Access to requested service disabled")


def failed(call: Call, user: User) -> Problem:
    """AuthFailed, with the account's id for callers that may look it up by its name anyway."""
    knows = permits(call.caller.role, "users", "read", own=False) is not None
    return AuthFailed(id=user["_id"]) if knows else AuthFailed()


def match_asp(call: Call, user: User, body: Document) -> Document | None:
    """The application password that was given, one that opens the scope before any other; None for none.

    They open mail services only, never the account (`master`).
    """
    given = as_asp(body["password"])
    asps = call.store.asps.secrets(user["_id"]) if given and body["scope"] != MASTER else []
    if not given or not asps:
        return None
    likely = [asp for asp in asps if asp.get("selector") in (None, "", selector(given))]
    with limited(call, asp_limit(call, user["_id"])) as guess:
        found = [asp for asp in likely if _matches(call, user, given, asp["password"])]
        guess.wrong = not found
    return next((asp for asp in found if opens(asp["scopes"], body["scope"])), found[0] if found else None)


def match_password(call: Call, user: User, body: Document, other: Document | None) -> str:
    """Which of the account's passwords was given, `master` or `temporary`. Raises Problem, after logging it.

    `other` is the application password that was given, but does not open the scope.
    """
    with limited(call, password_limit(call, user["_id"])):
        source = _source(call, user, body["password"])
        if source is None:
            source_of = asp_fields(other) if other else {"source": MASTER}
            log_login(call, user, body, "fail", **source_of)
            raise InvalidAuthScope if other else failed(call, user)
        if body["scope"] != MASTER and (source == TEMPORARY or enabled_2fa(user)):
            log_login(call, user, body, "fail", source=source, **required_2fa(user, source))
            raise InvalidAuthScope
    return source


def _source(call: Call, user: User, password: str) -> str | None:
    temporary = _temporary(call, user)
    if temporary and _matches(call, user, password, temporary["password"]):
        if (temporary.get("validAfter") or call.now) > call.now:
            raise TempPasswordNotYetValid
        return TEMPORARY
    stored = user.get("password")
    if not _matches(call, user, password, stored or DUMMY_HASHES[call.rules.password_scheme]) or not stored:
        return None
    if needs_rehash(stored, call.rules.password_scheme):
        better = call.offload(hash_password, password, call.rules.password_scheme)
        call.store.users.replace_hash(user["_id"], stored, better)
    return MASTER


def _temporary(call: Call, user: User) -> TemporaryPassword | None:
    """The temporary password that still counts; one that has ended is taken away."""
    temporary = user.get("tempPassword") or None
    if temporary is None:
        return None
    begins = max(temporary["created"], temporary.get("validAfter") or temporary["created"])
    if call.now - begins < _TEMPORARY_LASTS:
        return temporary
    call.store.users.end_temporary(user["_id"], temporary["password"])
    return None


def _matches(call: Call, user: User, password: str, stored: str) -> bool:
    """A stored text that is no hash matches nothing, which is for the operator to mend."""
    try:
        return bool(call.offload(verify_password, password, stored))
    except UnknownHash as error:
        log.error("a stored password hash cannot be verified", user=str(user["_id"]), reason=str(error))
        return False


def _spend_time(call: Call, body: Document) -> None:
    call.offload(verify_password, body["password"], DUMMY_HASHES[call.rules.password_scheme])


def asp_fields(asp: Document) -> Document:
    """What the log says of an application password."""
    return {"source": ASP, "asp": asp["_id"], "aname": asp.get("description")}


def required_2fa(user: User, source: str) -> Document:
    """What the log says of second factors that are still to come."""
    methods = enabled_2fa(user) if source == MASTER else []
    return {"require2fa": ",".join(methods)} if methods else {}


def log_login(call: Call, user: User, body: Document, result: str | None, **fields: Any) -> ObjectId | None:
    """Write a log-in, or the attempt, to the account's log; returns the entry's id."""
    labels = {"protocol": body["protocol"], "requiredScope": body["scope"]}
    if body.get("appId"):
        labels["appId"] = body["appId"]
    return call.log_event(user["_id"], "authentication", result=result, **labels, **fields)
