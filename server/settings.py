"""Every setting: its name, its type, its default and what it is for.

A setting comes from the environment (`MALLARD_<NAME>`), else from the TOML file that `MALLARD_CONFIG` names
(keys in lower case), else from its default. All are checked at start; `mallard config` prints what is in force.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from security.secrets import DEFAULT_OLD_CIPHER, OLD_CIPHERS, KeyRing

DEFAULT_SECRET = "a secret cat"


class SettingsError(Exception):
    """A setting has a value that can not be used; the text names it and says what to do."""


def _setting(default: Any, read: Callable[[Any], Any], help: str, secret: bool = False) -> Any:
    return field(default=default, metadata={"read": read, "help": help, "secret": secret})


def _switch(value: Any) -> bool:
    words = {
        "on": True,
        "true": True,
        "yes": True,
        "1": True,
        "off": False,
        "false": False,
        "no": False,
        "0": False,
    }
    try:
        return words[str(value).lower()]
    except KeyError:
        raise ValueError("is neither `on` nor `off`") from None


def _whole_number(least: int, most: int | None = None) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value)
        if number < least:
            raise ValueError(f"is less than {least}")
        if most is not None and number > most:
            raise ValueError(f"is more than {most}")
        return number

    return read


def _choice(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return str(value)

    return read


def _host_and_port(value: Any) -> str:
    host, colon, port = str(value).rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("is not host:port, like 127.0.0.1:8080 or [::1]:8080")
    return str(value)


def _words(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else tuple(str(value).replace(",", " ").split())


def _lines(value: Any) -> tuple[str, ...]:
    """Texts that may have blanks: a list in the file, lines in the environment."""
    return tuple(filter(None, value if isinstance(value, list) else str(value).splitlines()))


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
    mongo_cache: int = _setting(256, _whole_number(256), "Cache of our own mongod, in MiB.")
    state_dir: Path = _setting(
        Path("~/.local/state/mallard").expanduser(),
        lambda value: Path(value).expanduser().absolute(),
        "Folder of what one machine keeps: the data of our own mongod, its keys, its log.",
    )
    bind: str = _setting("127.0.0.1:8080", _host_and_port, "Where the API listens, host:port.")
    workers: int = _setting(
        min(os.cpu_count() or 1, 4), _whole_number(1), "API processes; each serves many requests at once."
    )
    access_control: bool = _setting(
        False,
        _switch,
        "`on`: every request needs an access token. `off` is only allowed on a loopback address.",
    )
    token: str = _setting(
        "", str, "A static access token with the role root. Tokens are needed once it is set.", secret=True
    )
    secret: str = _setting(DEFAULT_SECRET, str, "Key that signs the records of access tokens.", secret=True)
    token_ttl: int = _setting(
        1_209_600, _whole_number(60), "Seconds after its last use until a user's access token ends."
    )
    token_lifetime: int = _setting(
        15_552_000,
        _whole_number(60),
        "Seconds after its issue until a user's access token ends, used or not.",
    )
    cors_origins: tuple[str, ...] = _setting(
        ("*",), _words, "Origins whose pages may call the API; each may have one `*`. Separated by blanks."
    )
    email_domain: str = _setting(
        "", str, "Domain of the address that a user without one gets. Empty: the host's name."
    )
    password_hash: str = _setting(
        "argon2id", _choice("argon2id", "bcrypt"), "Format of new password hashes. WildDuck verifies both."
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
        _lines,
        "Earlier keys, one a line; what they encrypted is read, and stored under the present key as it is used.",
        secret=True,
    )
    encryption_old_cipher: str = _setting(
        DEFAULT_OLD_CIPHER,
        _choice(*OLD_CIPHERS),
        "Cipher of values that old WildDucks encrypted, WildDuck's totp.cipher. New ones are AES-256-GCM.",
    )
    totp_secret: str = _setting(
        "", str, "Key that encrypts TOTP seeds alone. Empty: the encryption secret.", secret=True
    )
    totp_window: int = _setting(
        6, _whole_number(0, most=20), "Steps of 30 seconds before and after now whose TOTP codes are right."
    )
    strict_2fa: bool = _setting(
        True,
        _switch,
        "`on`: with a second factor, the access token comes from the second step. `off`: from the password already, "
        "for clients of before WildDuck 1.50 that do the second step by themselves.",
    )
    confirm_2fa: bool = _setting(
        False,
        _switch,
        "`on`: a user's own token sets up or switches off a second factor only with the password or a code.",
    )
    log_format: str = _setting(
        "auto", _choice("auto", "console", "json"), "`auto`: console on a terminal, JSON otherwise."
    )
    log_level: str = _setting(
        "info", _choice("debug", "info", "warning", "error"), "The least that is logged."
    )
    validate_responses: bool = _setting(
        False, _switch, "`on`: check every answer against the contract and answer 500 where it does not hold."
    )
    graceful_timeout: int = _setting(30, _whole_number(1), "Seconds that a stop gives to requests in flight.")

    @property
    def host(self) -> str:
        """The host part of `bind`, without the brackets of IPv6."""
        return self.bind.rpartition(":")[0].strip("[]")

    def with_mongo_uri(self, uri: str) -> Settings:
        """The same settings on another MongoDB."""
        return replace(self, mongo_uri=uri)

    @property
    def needs_token(self) -> bool:
        """Whether a request without a token is refused."""
        return self.access_control or bool(self.token)

    def key_ring(self, own: str = "") -> KeyRing:
        """The keys of secrets at rest; `own` is the key of one kind of them, before the common one."""
        older = (*([self.encryption_secret] if own else []), *self.encryption_old_secrets)
        return KeyRing(own or self.encryption_secret, older, self.encryption_old_cipher)

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read, convert and check all settings. Raises SettingsError with the text to show."""
        file = _read_file(environ.get("MALLARD_CONFIG", ""))
        unknown = set(file) - {f.name for f in fields(cls)}
        if unknown:
            raise SettingsError(f"The settings file has unknown settings: {', '.join(sorted(unknown))}")
        settings = cls(**{f.name: _value(f, environ, file) for f in fields(cls)})
        settings._check()
        return settings

    def _check(self) -> None:
        if not self.needs_token and not _is_loopback(self.host):
            raise SettingsError(
                f"MALLARD_BIND is {self.bind}, which other machines reach, and access control is off: anyone could "
                "read all mail. Set MALLARD_ACCESS_CONTROL=on (then `mallard token provision` makes tokens) or "
                "MALLARD_TOKEN, or bind to 127.0.0.1."
            )
        if self.access_control and self.secret == DEFAULT_SECRET and not _is_loopback(self.host):
            raise SettingsError(
                "Access control is on with the default secret. Set MALLARD_SECRET to a random text."
            )

    def shown(self) -> dict[str, Any]:
        """All settings for people to read, secrets masked."""
        return {
            f.name: "***" if f.metadata["secret"] and getattr(self, f.name) else getattr(self, f.name)
            for f in fields(self)
        }


def _read_file(path: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).expanduser().read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"MALLARD_CONFIG names a file that can not be read: {error}") from error


def _value(setting: Any, environ: Mapping[str, str], file: Mapping[str, Any]) -> Any:
    name = f"MALLARD_{setting.name.upper()}"
    given = environ.get(name, file.get(setting.name, MISSING))
    if given is MISSING:
        return setting.default
    try:
        return setting.metadata["read"](given)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{name} {error}. It is for: {setting.metadata['help']}") from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
