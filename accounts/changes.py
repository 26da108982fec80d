"""Changes of an account: what is written in one step, which events it emits, what is logged, which sessions end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from accounts.context import Context
from security.targets import without_password
from storage.accounts.documents import User
from storage.accounts.user_changes import KeyFacts, NewPassword, UserChange
from storage.base.counters import COUNTER_OF, counter_key
from storage.base.database import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUpdate:
    """What is to change of an account."""

    fields: Mapping[str, Any] = field(default_factory=dict)  # settings, as a request gives them
    keys: KeyFacts = field(default_factory=KeyFacts)
    password: str | None = None  # a hash, empty for no password; None: it stays
    disable_2fa: bool = False
    protocol: str = "API"  # how the request came, for the log

    @property
    def ends_sessions(self) -> bool:
        """Return whether all sessions of the account end with it."""
        closing = self.fields.get("suspended") or self.fields.get("disabled")
        return self.password is not None or bool(closing)


def update_account(context: Context, before: User, update: AccountUpdate) -> None:
    """Change an account. Raises UserNotFound where it has been deleted."""
    user, targets = before["_id"], _new_targets(before, update)
    change = _change(context, before, update)

    def steps(session: Session) -> None:
        context.store.users.apply(user, change, session)
        _emit_update(context, user, update, session)
        emit_targets(context, user, targets, session)

    context.store.events.in_transaction(user, steps)
    if update.ends_sessions:
        context.store.notices.log_out(user, "Authentication required")
    _reset_counters(context, before, update)
    _log_update(context, user, update)
    log_targets(context, user, targets)


def _change(context: Context, before: User, update: AccountUpdate) -> UserChange:
    new = None
    if update.password is not None:
        new = NewPassword(update.password, before.get("password"), context.now)
    return UserChange(
        fields=update.fields,
        keys=update.keys,
        password=new,
        clear_second_factors=update.disable_2fa,
        end_sessions=update.ends_sessions,
    )


def _new_targets(before: User, update: AccountUpdate) -> list[str]:
    known = {target["value"] for target in before.get("targets") or ()}
    return [target for target in update.fields.get("targets") or () if target not in known]


def _emit_update(context: Context, user: ObjectId, update: AccountUpdate, session: Session) -> None:
    if update.password is not None:
        context.store.events.emit("user.password.changed", user=user, session=session)
    if update.disable_2fa:
        context.store.events.emit("mfa.disabled", user=user, session=session)


def _reset_counters(context: Context, before: User, update: AccountUpdate) -> None:
    """A limit that changed begins a new window."""
    old: Mapping[str, Any] = before
    changed = [name for name in COUNTER_OF if name in update.fields and update.fields[name] != old.get(name)]
    if changed:
        context.store.counters.reset(counter_key(name, before["_id"]) for name in changed)


def _log_update(context: Context, user: ObjectId, update: AccountUpdate) -> None:
    if update.password is not None:
        context.log_event(user, "password change", result="success", protocol=update.protocol)
        context.keep_session(user)
    if update.disable_2fa:
        context.log_event(user, "disable 2fa", role=context.caller.role)


def emit_targets(context: Context, user: ObjectId, targets: Sequence[str], session: Session) -> None:
    """Emit an event for each new forwarding target of an account."""
    events = [{"type": "user", "target": without_password(target)} for target in targets]
    context.store.events.emit_all("forward added", user, events, session)


def log_targets(context: Context, user: ObjectId, targets: Sequence[str]) -> None:
    """Write each new forwarding target to the account's log."""
    for target in targets:
        context.log_event(user, "user forward added", result="success", target=target, protocol="API")
