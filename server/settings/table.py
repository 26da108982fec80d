"""The table of settings: the name of each, its type, its default and what it is for.

`server.settings.loading` reads them; `mallard config` prints what is in force.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from delivery.inbound.received import AUTO
from network.pwned import API as PWNED_API
from security.profile import ProfileRules
from security.secrets import DEFAULT_OLD_CIPHER, OLD_CIPHERS, KeyRing, KeyRings
from server.settings.readers import (
    choice,
    host_and_port,
    host_and_port_or_none,
    http_url,
    lines,
    networks,
    received_form,
    service,
    some_of,
    switch,
    whole_number,
    words,
)

DEFAULT_SECRET = "a secret cat"
_PROFILE = ProfileRules()
_LARGEST_MAIL = 67_108_864 - 65_536  # with what a delivery adds, it is the largest that is stored
_LMTP_CHECKS = ("disabled", "quota", "rate")


class SettingsError(Exception):
    """A setting has a value that cannot be used; the text names it and says what to do."""


def _setting(default: Any, read: Callable[[Any], Any], help: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"read": read, "help": help, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the processes of Mallard are set up with."""

    mongo_uri: str = _setting(
        "",
        str,
        "MongoDB to use, mongodb://… Empty: start a mongod of our own in the state folder.",
        secret=True,
    )
    database: str = _setting("mallard", str, "Main database; `wildduck` on most WildDuck installations.")
    users_database: str = _setting("", str, "Database of the accounts. Empty: the main database.")
    gridfs_database: str = _setting("", str, "Database of attachments and files. Empty: the main database.")
    sender_database: str = _setting("", str, "Database of the outbound queue. Empty: the main database.")
    mongo_cache: int = _setting(256, whole_number(256), "Cache of our own mongod, in MiB.")
    state_dir: Path = _setting(
        Path("~/.local/state/mallard").expanduser(),
        lambda value: Path(value).expanduser().absolute(),
        "Folder of what one machine keeps: the data of our own mongod, its keys, its log.",
    )
    bind: str = _setting("127.0.0.1:8080", host_and_port, "Where the API listens, host:port.")
    tls: bool = _setting(
        False,
        switch,
        "`on`: the API speaks TLS, with the certificates stored by `POST /certs`, by the name that a client asks for.",
    )
    tls_certificate: str = _setting(
        "",
        str,
        "PEM file of the certificate, then of those between it and a known one, that the API shows for names without "
        "one in the database. Empty: connections for these are refused.",
    )
    tls_key: str = _setting("", str, "PEM file of the private key of MALLARD_TLS_CERTIFICATE.")
    workers: int = _setting(
        min(os.cpu_count() or 1, 4), whole_number(1), "API processes; each serves many requests at once."
    )
    lmtp_bind: str = _setting(
        "127.0.0.1:2424", host_and_port, "Where mail comes in by LMTP, host:port. Only for your own MTA."
    )
    relay: str = _setting(
        "",
        host_and_port_or_none,
        "Smart host that all mail goes out through, host:port; port 465 is TLS from the start. Empty: by the mail "
        "exchangers of each domain, and to accounts of this very store by way of MALLARD_LMTP_BIND.",
    )
    relay_user: str = _setting("", str, "User name at the smart host. Empty: no log-in.")
    relay_password: str = _setting("", str, "Password at the smart host.", secret=True)
    relay_tls: str = _setting(
        "opportunistic",
        choice("opportunistic", "required", "verified"),
        "TLS of mail that goes out. `opportunistic`: where it is offered, but with a valid certificate wherever a "
        "password is to be sent. `required`: always, whatever the certificate. `verified`: always, with a valid one.",
    )
    relay_name: str = _setting(
        "", str, "What the relay calls itself in EHLO and in reports to senders. Empty: the name of the host."
    )
    relay_connections: int = _setting(
        20, whole_number(1, maximum=500), "Connections that a relay process has at once."
    )
    relay_connections_per_domain: int = _setting(
        5, whole_number(1, maximum=100), "How many of them to one domain, or to the smart host."
    )
    relay_timeout: int = _setting(
        120,
        whole_number(1, maximum=3600),
        "Seconds that another server may take for each step; a quarter to connect, five times as long for a whole "
        "message.",
    )
    relay_lease: int = _setting(
        120,
        whole_number(2, maximum=3600),
        "Seconds of a lease: after these another relay takes over what a dead one was sending.",
    )
    send: bool = _setting(
        True, switch, "`off`: `mallard serve` leaves the queue to a ZoneMTA on the same database."
    )
    allow_private_targets: bool = _setting(
        False,
        switch,
        "`on`: forwards, accounts' own relays, webhooks and mail exchangers may be on loopback and private addresses. "
        "The smart host may be anyway.",
    )
    lmtp_name: str = _setting("", str, "Name of the LMTP server in its greeting. Empty: the host's name.")
    lmtp_max_size: int = _setting(
        _LARGEST_MAIL, whole_number(1024, maximum=_LARGEST_MAIL), "Largest message that LMTP takes, in bytes."
    )
    lmtp_threads: int = _setting(
        8, whole_number(1, maximum=256), "How many deliveries the LMTP server makes at once."
    )
    lmtp_checks: tuple[str, ...] = _setting(
        _LMTP_CHECKS,
        some_of(*_LMTP_CHECKS),
        "What LMTP refuses a recipient for: `disabled` accounts, a full `quota`, a `rate` above the account's "
        "`receivedMax`, or 60, in a minute. An MTA may check these itself. `none`: nothing.",
    )
    verify_mail: bool = _setting(
        True, switch, "`on`: check SPF, DKIM and DMARC of mail that comes in. Asks the DNS."
    )
    authserv_id: str = _setting(
        "",
        str,
        "Name in the Authentication-Results of your MTA (RFC 8601); what they say is taken in place of own checks. "
        "The MTA must remove such fields from mail of others.",
    )
    received_form: str = _setting(
        AUTO,
        received_form,
        "The MTA whose Received field says where mail came from: `postfix`, `exim`, `haraka`, `sendmail`, `qmail`, "
        "`auto` for whichever of these it looks like, `none`, or a regular expression for the field, white space made "
        "one blank, with a group `(?P<ip>…)` for the address that the MTA saw and `(?P<helo>…)` for the name it heard.",
    )
    spam_headers: tuple[str, ...] = _setting(
        ("X-Spam-Flag", "X-Spam-Status", "X-Spam", "X-Spam-Action", "X-Rspamd-Action"),
        words,
        "Header fields in which your spam filter says what it thinks: yes, or an action as rspamd names them.",
    )
    loop_secret: str = _setting(
        "",
        str,
        "Key of the loop signatures by which forwarded mail that comes back is recognized, "
        "WildDuck's sender.loopSecret. Empty: MALLARD_SECRET.",
        secret=True,
    )
    access_control: bool = _setting(
        False,
        switch,
        "`on`: every request needs an access token. `off` is only allowed on a loopback address.",
    )
    token: str = _setting(
        "", str, "A static access token with the role root. Tokens are needed once it is set.", secret=True
    )
    secret: str = _setting(DEFAULT_SECRET, str, "Key that signs the records of access tokens.", secret=True)
    token_ttl: int = _setting(
        1_209_600, whole_number(60), "Seconds after its last use until a user's access token ends."
    )
    token_lifetime: int = _setting(
        15_552_000,
        whole_number(60),
        "Seconds after its issue until a user's access token ends, used or not.",
    )
    cors_origins: tuple[str, ...] = _setting(
        ("*",), words, "Origins whose pages may call the API; each may have one `*`. Separated by blanks."
    )
    email_domain: str = _setting(
        "", str, "Domain of the address that a user without one gets. Empty: the host's name."
    )
    welcome_dir: str = _setting(
        "",
        lambda value: str(Path(value).expanduser().absolute()) if value else "",
        "Folder with templates of the messages that a new account finds. Empty: none.",
    )
    password_hash: str = _setting(
        "argon2id", choice("argon2id", "bcrypt"), "Format of new password hashes. WildDuck verifies both."
    )
    encryption_secret: str = _setting(
        "",
        str,
        "Key that encrypts TOTP seeds and private keys at rest, the value of WildDuck's totp.secret, dkim.secret and "
        "certs.secret. Empty: they are stored in clear, as WildDuck does without these.",
        secret=True,
    )
    encryption_old_secrets: tuple[str, ...] = _setting(
        (),
        lines,
        "Earlier keys, one a line; what they encrypted is read. `mallard secrets rotate` puts it under the present "
        "one.",
        secret=True,
    )
    encryption_old_cipher: str = _setting(
        DEFAULT_OLD_CIPHER,
        choice(*OLD_CIPHERS),
        "Cipher of values that old WildDucks encrypted, WildDuck's totp.cipher. New ones are AES-256-GCM.",
    )
    totp_secret: str = _setting(
        "", str, "Key that encrypts TOTP seeds alone. Empty: the encryption secret.", secret=True
    )
    dkim_secret: str = _setting(
        "",
        str,
        "Key that encrypts private DKIM keys alone, WildDuck's dkim.secret. Empty: the encryption secret.",
        secret=True,
    )
    certs_secret: str = _setting(
        "",
        str,
        "Key that encrypts private TLS keys alone, WildDuck's certs.secret. Empty: the encryption secret.",
        secret=True,
    )
    totp_window: int = _setting(
        6, whole_number(0, maximum=20), "Steps of 30 seconds before and after now whose TOTP codes are right."
    )
    strict_2fa: bool = _setting(
        True,
        switch,
        "`on`: with a second factor, the access token comes from the second step. `off`: from the password already, "
        "for clients of before WildDuck 1.50 that do the second step by themselves.",
    )
    confirm_2fa: bool = _setting(
        False,
        switch,
        "`on`: a user's own token sets up or switches off a second factor only with the password or a code.",
    )
    user_addresses: str = _setting(
        "registered",
        choice("registered", "any"),
        "Which addresses a user's own token takes. `registered`: of domains that an operator has registered, with an "
        "account, an address, an alias or a DKIM key; no wildcards, and no names such as postmaster or admin. `any`: "
        "all, as WildDuck does, which lets users take mail of other people's domains.",
    )
    auth_ip_failures: int = _setting(
        100,
        whole_number(0),
        "Rate limit: failed log-ins within five minutes after which a client address is refused, 0 for any number. "
        "It is the `ip` of requests that counts, from callers with another role than `user`; of IPv6 the whole /64.",
    )
    auth_free_networks: tuple[str, ...] = _setting(
        (), networks, "Client addresses, 192.0.2.1 or 2001:db8::/32, whose log-ins have no limit."
    )
    pwned_check: str = _setting(
        "none",
        choice("none", "softfail", "fail", "hardfail"),
        "Whether a log-in asks if the password is known from a breach, once in 14 days. `softfail` only reports it, "
        "`fail` refuses such a password, `hardfail` also any password while the service cannot be asked.",
    )
    pwned_url: str = _setting(
        PWNED_API, http_url, "Service of breached passwords; the first five digits of the SHA-1 are added."
    )
    imap_server: str = _setting(
        "imaps://localhost:9993",
        service("imap"),
        "Where mail programs find IMAP, for configuration profiles.",
    )
    pop3_server: str = _setting(
        "pop3s://localhost:9995",
        service("pop3"),
        "Where mail programs find POP3, for configuration profiles.",
    )
    smtp_server: str = _setting(
        "smtp://localhost:2587",
        service("smtp"),
        "Where mail programs submit mail, for configuration profiles.",
    )
    profile_identifier: str = _setting(
        _PROFILE.identifier, str, "Identifier of configuration profiles; the account's id is added."
    )
    profile_title: str = _setting(
        _PROFILE.title, str, "Name of a configuration profile whose password has no description."
    )
    profile_organization: str = _setting(
        _PROFILE.organization,
        str,
        "Who issues configuration profiles. In this and the other texts {email} and "
        "{name} are those of the account.",
    )
    profile_description: str = _setting(
        _PROFILE.description, str, "What a configuration profile says that it is for."
    )
    profile_account: str = _setting(
        _PROFILE.account, str, "Name of the account in the mail program that a configuration profile sets up."
    )
    profile_key: str = _setting(
        "",
        str,
        "PEM file of the private key that configuration profiles are signed with. Empty: a key and a certificate of "
        "our own making, kept in the database (the key encrypted with MALLARD_SECRET), the same for all processes.",
    )
    profile_certificate: str = _setting(
        "", str, "PEM file of the key's certificate, then of those between it and a known one."
    )
    redis_url: str = _setting(
        "",
        str,
        "Redis of a WildDuck on the same database, redis://…; its IMAP sessions are notified of changes there.",
        secret=True,
    )
    sweep: bool = _setting(
        True, switch, "`off`: leave expired messages to the task runner of a WildDuck on the same database."
    )
    metrics_bind: str = _setting(
        "",
        lambda value: host_and_port(value) if value else "",
        "Address, host:port, where GET /metrics answers everyone, in Prometheus' format. Empty: nowhere.",
    )
    metrics_token: str = _setting(
        "",
        str,
        "Token, sent as `Authorization: Bearer …`, for GET /metrics on the address of the API. Empty: not there.",
        secret=True,
    )
    slow_ms: int = _setting(
        500,
        whole_number(0),
        "Milliseconds from which a database operation is logged as slow, without its values. 0: never.",
    )
    webhook_secret: str = _setting(
        "",
        str,
        "Key that signs what webhooks send; each hook has a secret made of it, which `createWebhook` and `mallard "
        "webhooks secret` show. Empty: no signatures.",
        secret=True,
    )
    log_format: str = _setting(
        "auto", choice("auto", "console", "json"), "`auto`: console on a terminal, JSON otherwise."
    )
    log_level: str = _setting(
        "info", choice("debug", "info", "warning", "error"), "The least that is logged."
    )
    validate_responses: bool = _setting(
        False, switch, "`on`: check every answer against the contract and answer 500 where it does not hold."
    )
    graceful_timeout: int = _setting(30, whole_number(1), "Seconds that a stop gives to requests in flight.")

    @property
    def host(self) -> str:
        """The host part of `bind`, without the brackets of IPv6."""
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def url(self) -> str:
        """Where the API is, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://{self.bind}"

    def with_mongo_uri(self, uri: str) -> Settings:
        """The same settings on another MongoDB."""
        return replace(self, mongo_uri=uri)

    @property
    def needs_token(self) -> bool:
        """Return whether a request without a token is refused."""
        return self.access_control or bool(self.token)

    @property
    def key_rings(self) -> KeyRings:
        """The keys of secrets at rest, of each kind."""
        secrets = (self.totp_secret, self.dkim_secret, self.certs_secret)
        return KeyRings(*map(self._key_ring, secrets))

    def _key_ring(self, own: str) -> KeyRing:
        """`own` is the key of one kind, before the common one."""
        older = (*([self.encryption_secret] if own else []), *self.encryption_old_secrets)
        return KeyRing(own or self.encryption_secret, older, self.encryption_old_cipher)

    def masked(self) -> Mapping[str, Any]:
        """All settings for people to read, secrets masked."""
        return {
            f.name: "***" if f.metadata["secret"] and getattr(self, f.name) else getattr(self, f.name)
            for f in fields(self)
        }
