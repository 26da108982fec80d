"""What an operation needs to know of the request it answers, beside its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeAlias

from bson import ObjectId

from network.pwned import is_pwned
from security.profile import ProfileRules
from security.roles import speaks_for_others
from security.secrets import KeyRing
from storage.base.offload import Offload, run_here
from storage.store import Store
from updates.listeners import Streams

Network = IPv4Network | IPv6Network

Body: TypeAlias = Mapping[str, Any]
"""The body of a request, after the contract's checks and defaults."""
Answer: TypeAlias = dict[str, Any]
"""What an operation answers, before it becomes JSON."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the label of the token (an account's id or an operator's name), its role, its record's id.

    `token` is None for the static root token, for tokens without a time to live, and where none is needed; `record`
    is None for the first and the last of these.
    """

    user: str = "root"
    role: str = "root"
    token: str | None = None
    record: str | None = None

    @property
    def user_id(self) -> ObjectId | None:
        """The account that the token belongs to, if it belongs to one."""
        return ObjectId(self.user) if len(self.user) == 24 and ObjectId.is_valid(self.user) else None


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of the service that operations follow: how tokens are signed and live, how passwords are hashed.

    `ip_failures` are the failed log-ins that one client address has, 0 for any number; those of `free_networks` have
    no limit at all. `pwned_check` says what a breached password is at log-in, `is_pwned` whether it is one (it may
    raise OSError). `profile` is what configuration profiles for mail programs hold.
    `webhook_secret` is what the signatures of webhooks are made of, empty for none.
    `welcome_dir` has the templates of what new accounts find in their mailboxes.

    `totp_window` are the steps either way in which a code is right. With `strict_2fa` an account with a second
    factor gets no token before it; with `confirm_2fa` its user changes second factors only with password or code.
    """

    secret: str = "a secret cat"
    token_ttl: int = 1_209_600
    password_scheme: str = "argon2id"
    email_domain: str = ""
    ip_failures: int = 100
    free_networks: tuple[Network, ...] = ()
    pwned_check: str = "none"
    is_pwned: Callable[[str], bool] = is_pwned
    profile: ProfileRules = field(default_factory=ProfileRules)
    totp_keys: KeyRing = field(default_factory=KeyRing)
    totp_window: int = 6
    strict_2fa: bool = True
    confirm_2fa: bool = False
    webhook_secret: str = ""
    welcome_dir: str = ""


def do_nothing() -> None:
    """There is no connection that could be cut."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the store, the caller, and the labels that go to logs.

    `offload` runs CPU-heavy functions where they do not stall other requests. `own_only` is the account that a
    listing must be restricted to, None when the caller may list all. `streams` are the event streams of this
    process, `disconnect` cuts the connection that the request came by.
    """

    store: Store
    caller: Caller = field(default_factory=Caller)
    rules: Rules = field(default_factory=Rules)
    sess: str | None = None
    ip: str | None = None
    offload: Offload = run_here
    own_only: ObjectId | None = None
    streams: Streams | None = None
    disconnect: Callable[[], None] = do_nothing

    @property
    def now(self) -> datetime:
        """The time now, in UTC."""
        return self.store.clock()

    @property
    def password_scheme(self) -> str:
        """The format of new password hashes."""
        return self.rules.password_scheme

    @property
    def email_domain(self) -> str:
        """The domain of addresses that accounts get by themselves, empty for the host's name."""
        return self.rules.email_domain

    @property
    def client_ip(self) -> str | None:
        """The address of the person behind the request, where the caller can be believed to tell the true one."""
        return self.ip if speaks_for_others(self.caller.role) else None

    def log_event(self, user: ObjectId, action: str, **fields: Any) -> ObjectId | None:
        """Write to the account's log of security events; returns the entry's id."""
        labels = {name: value for name, value in (("sess", self.sess), ("ip", self.ip)) if value}
        return self.store.auth_log.write(user, action, **{**labels, **fields})

    def keep_session(self, user: ObjectId) -> None:
        """Carry the caller's own session over a change that ends all others of the account."""
        if self.caller.token and self.caller.user == str(user):
            document = self.store.users.get(user, {"authVersion": 1})
            self.store.tokens.refresh(
                self.caller.token, document, secret=self.rules.secret, ttl=self.rules.token_ttl
            )
