"""What account logic needs besides its arguments: the store, who asks, and the rules of the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeAlias

from bson import ObjectId

from network.pwned import is_pwned
from security.offload import Offload, run_here
from security.profile import ProfileRules
from security.roles import speaks_for_others
from security.secrets import KeyRing
from storage.store import Store

Network: TypeAlias = IPv4Network | IPv6Network


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
    """Settings of the service that operations follow."""

    secret: str = "a secret cat"  # signs access tokens and encrypts the key of profiles
    token_ttl: int = 1_209_600  # seconds that a session lasts after its last use
    password_scheme: str = "argon2id"  # the format of new password hashes
    email_domain: str = ""  # of addresses that are made of user names; empty: the host's name
    ip_failures: int = 100  # failed log-ins of one client address per window; 0: any number
    free_networks: tuple[Network, ...] = ()  # client addresses without rate limits
    pwned_check: str = "none"  # what a log-in does about a breached password
    is_pwned: Callable[[str], bool] = is_pwned  # whether a password is known from a breach; may raise OSError
    profile: ProfileRules = field(default_factory=ProfileRules)  # contents of profiles for mail programs
    totp_keys: KeyRing = field(default_factory=KeyRing)  # encrypt the seeds of TOTP
    totp_window: int = 6  # steps either way in which a code is right
    strict_2fa: bool = True  # an account with a second factor gets no token before it
    confirm_2fa: bool = False  # a user changes second factors only with password or code
    free_addresses: bool = False  # users take addresses of any domain, wildcards and reserved names
    webhook_secret: str = ""  # the signatures of webhooks derive from it; empty: unsigned
    welcome_dir: str = ""  # templates of the messages in new mailboxes


@dataclass(frozen=True, slots=True)
class Context:
    """One request, as far as account logic has to do with it.

    `offload` runs CPU-heavy functions where they do not stall other requests. `sess` and `ip` are the labels that
    the caller gives for the logs.
    """

    store: Store
    caller: Caller = field(default_factory=Caller)
    rules: Rules = field(default_factory=Rules)
    sess: str | None = None
    ip: str | None = None
    offload: Offload = run_here

    @property
    def now(self) -> datetime:
        """The time now, in UTC."""
        return self.store.clock()

    @property
    def client_ip(self) -> str | None:
        """The address of the person behind the request, where the caller may be believed to give the true one."""
        return self.ip if speaks_for_others(self.caller.role) else None

    def log_event(self, user: ObjectId, action: str, **fields: Any) -> ObjectId | None:
        """Write to the account's log of security events; return the entry's id."""
        labels = {name: value for name, value in (("sess", self.sess), ("ip", self.ip)) if value}
        return self.store.auth_log.write(user, action, **{**labels, **fields})

    def keep_session(self, user: ObjectId) -> None:
        """Carry the caller's own session over a change that ends all others of the account."""
        if self.caller.token and self.caller.user == str(user):
            document = self.store.users.get(user, {"authVersion": 1})
            self.store.tokens.refresh(
                self.caller.token, document, secret=self.rules.secret, ttl=self.rules.token_ttl
            )
