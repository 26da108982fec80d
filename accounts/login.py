"""Log-in: which password was given (the account's own, a temporary one, an application password), and what it opens.

`log_in` is the first step. What it yields, and the second step of an account with second factors, stand in
`accounts.second_step`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, TypeAlias

import structlog
from bson import ObjectId

from accounts.breach import check_breach, is_known_pwned
from accounts.context import Context
from accounts.limits import asp_limit, forget_failures, ip_limit, limited, password_limit
from accounts.passwords import TEMPORARY_LASTS
from accounts.second_factors import enabled_methods
from problems import AuthFailed, InvalidAuthScope, TempPasswordNotYetValid, summary
from security.asps import as_asp, opens, selector
from security.normalize import username_view
from security.passwords import DUMMY_HASHES, UnknownHash, hash_password, needs_rehash, verify_password
from security.roles import permits
from storage.accounts.documents import Asp, TemporaryPassword, User
from storage.store import Store

Source: TypeAlias = Literal["master", "temporary", "asp"]
MASTER: Final = "master"
TEMPORARY: Final = "temporary"
ASP: Final = "asp"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody gives to log in."""

    username: str  # or an address of the account
    password: str
    scope: str  # the service that they want; `master` is the account itself
    protocol: str  # how they come, for the log
    app_id: str | None = None  # the program that they use, for the log


@dataclass(frozen=True, slots=True)
class Login:
    """A log-in whose password was right."""

    account: User
    scope: str
    source: Source  # the kind of password
    pwned: bool  # whether the account's own password is known from a breach

    @property
    def required_factors(self) -> list[str]:
        """The second factors that are still required; temporary and application passwords need none."""
        return _required_factors(self.account, self.source)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt to log in to an account that exists."""

    context: Context
    account: User
    given: Credentials

    @property
    def user(self) -> ObjectId:
        return self.account["_id"]

    def log(self, result: str | None, **fields: Any) -> ObjectId | None:
        """Write the attempt to the account's log; return the entry's id."""
        labels = {"protocol": self.given.protocol, "requiredScope": self.given.scope}
        if self.given.app_id:
            labels["appId"] = self.given.app_id
        return self.context.log_event(self.user, "authentication", result=result, **labels, **fields)

    def log_password(self, result: str, source: Source) -> ObjectId | None:
        """The same of a password of the account that was right, with the second factors still to come."""
        required = _required_factors(self.account, source)
        return self.log(result, source=source, **({"require2fa": ",".join(required)} if required else {}))

    def fail(self) -> NoReturn:
        """Raise AuthFailed, with the account's id for callers that may look it up by its name anyway."""
        knows = permits(self.context.caller.role, "users", "read", own=False) is not None
        raise AuthFailed(id=self.user) if knows else AuthFailed


def log_in(context: Context, given: Credentials) -> Login:
    """Check a password and log the outcome.

    Raises Problem: AuthFailed, InvalidAuthScope, RateLimited, TempPasswordNotYetValid.
    """
    account = _find_account(context.store, given.username)
    attempt = _Attempt(context, account, given) if account else None
    if attempt:
        _refuse_closed(attempt)
    with limited(context, ip_limit(context)):
        if attempt is None:
            _refuse_unknown(context, given)
        asp = _match_asp(attempt)
        opening = asp if asp and opens(asp["scopes"], given.scope) else None
        source = ASP if opening else _match_password(attempt, asp)
    return _log_in_by_asp(attempt, opening) if opening else _log_in_by_password(attempt, source)


def _find_account(store: Store, name: str) -> User | None:
    """By user name, or by an address of the account; wildcards and forwarded addresses log nobody in."""
    if "*" in name:
        return None
    if "@" in name and (address := store.addresses.resolve(name)):
        return store.users.find(address["user"]) if address.get("user") else None
    return store.users.by_username(name)


def _refuse_unknown(context: Context, given: Credentials) -> NoReturn:
    """Take as long as for an account that exists. Raises AuthFailed."""
    with limited(context, password_limit(context, username_view(given.username))):
        _spend_time(context, given.password)
        raise AuthFailed


def _refuse_closed(attempt: _Attempt) -> None:
    """Raises Problem for an account, or a service of it, that is closed; its password is not looked at."""
    account, given = attempt.account, attempt.given
    state = "disabled" if account.get("disabled") else "suspended" if account.get("suspended") else None
    if not state and given.scope not in (account.get("disabledScopes") or ()):
        return
    attempt.log(state)
    _spend_time(attempt.context, given.password)
    if state:
        attempt.fail()
    raise InvalidAuthScope("Access to requested service disabled")


def _match_asp(attempt: _Attempt) -> Asp | None:
    """The application password that was given, one that opens the scope before any other; None for none.

    They open mail services only, never the account (`master`).
    """
    context, scope = attempt.context, attempt.given.scope
    password = as_asp(attempt.given.password)
    asps = context.store.asps.secrets(attempt.user) if password and scope != MASTER else []
    if not password or not asps:
        return None
    likely = [asp for asp in asps if asp.get("selector") in (None, "", selector(password))]
    with limited(context, asp_limit(context, attempt.user)) as guess:
        matching = [asp for asp in likely if _matches(attempt, password, asp["password"])]
        guess.wrong = not matching
    first = matching[0] if matching else None
    return next((asp for asp in matching if opens(asp["scopes"], scope)), first)


def _match_password(attempt: _Attempt, asp: Asp | None) -> Source:
    """Which of the account's passwords was given. Raises Problem, after logging it.

    `asp` is the application password that was given but does not open the scope.
    """
    with limited(attempt.context, password_limit(attempt.context, attempt.user)):
        source = _source(attempt)
        if source is None:
            attempt.log("fail", **(_asp_labels(asp) if asp else {"source": MASTER}))
            if asp:
                raise InvalidAuthScope
            attempt.fail()
        if attempt.given.scope != MASTER and (source == TEMPORARY or enabled_methods(attempt.account)):
            attempt.log_password("fail", source)
            raise InvalidAuthScope
    return source


def _source(attempt: _Attempt) -> Source | None:
    context, password = attempt.context, attempt.given.password
    temporary = _temporary(context, attempt.account)
    if temporary and _matches(attempt, password, temporary["password"]):
        if (temporary.get("validAfter") or context.now) > context.now:
            raise TempPasswordNotYetValid
        return TEMPORARY
    stored, scheme = attempt.account.get("password"), context.rules.password_scheme
    if not _matches(attempt, password, stored or DUMMY_HASHES[scheme]) or not stored:
        return None
    if needs_rehash(stored, scheme):
        better = context.offload(hash_password, password, scheme)
        context.store.users.replace_hash(attempt.user, stored, better)
    return MASTER


def _temporary(context: Context, account: User) -> TemporaryPassword | None:
    """The temporary password that still counts; one that has ended is taken away."""
    temporary = account.get("tempPassword") or None
    if temporary is None:
        return None
    begins = max(temporary["created"], temporary.get("validAfter") or temporary["created"])
    if context.now - begins < TEMPORARY_LASTS:
        return temporary
    context.store.users.end_temporary(account["_id"], temporary["password"])
    return None


def _matches(attempt: _Attempt, password: str, stored: str) -> bool:
    """Return whether a hash is the password's. A stored text that is no hash matches nothing; the operator mends it."""
    try:
        return attempt.context.offload(verify_password, password, stored)
    except UnknownHash as error:
        log.error("a stored password hash cannot be verified", user=str(attempt.user), reason=summary(error))
        return False


def _spend_time(context: Context, password: str) -> None:
    context.offload(verify_password, password, DUMMY_HASHES[context.rules.password_scheme])


def _log_in_by_password(attempt: _Attempt, source: Source) -> Login:
    context, account = attempt.context, attempt.account
    forget_failures(context, attempt.user)
    breach = check_breach(context, account, attempt.given.password)
    event = attempt.log_password("fail" if breach.refused else "success", source)
    if breach.refused:
        attempt.fail()
    context.store.users.note_login(attempt.user, event, context.ip)
    return Login(account, attempt.given.scope, source, breach.pwned)


def _log_in_by_asp(attempt: _Attempt, asp: Asp) -> Login:
    event = attempt.log("success", **_asp_labels(asp))
    attempt.context.store.asps.note_use(asp, event, attempt.context.ip)
    return Login(attempt.account, attempt.given.scope, ASP, is_known_pwned(attempt.account))


def _asp_labels(asp: Asp) -> dict[str, object]:
    """What the log says of an application password."""
    return {"source": ASP, "asp": asp["_id"], "aname": asp.get("description")}


def _required_factors(account: User, source: Source) -> list[str]:
    return enabled_methods(account) if source == MASTER else []
