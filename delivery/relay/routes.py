"""Which way a recipient goes: to its own server, by HTTP, to our LMTP, to the smart host, or by its domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from security.normalize import domain_of, normalize_domain
from storage.queue.claims import Entry
from storage.queue.documents import EntryOptions
from storage.store import Store

SMTP_PORT = 25
SUBMISSIONS_PORT = 465


class Tls(Enum):
    """How much a connection is protected."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"  # where it is offered, whoever it is
    REQUIRED = "required"  # always, whoever it is
    VERIFIED = "verified"  # always, with a certificate that is valid for the name

    @property
    def is_needed(self) -> bool:
        return self in (Tls.REQUIRED, Tls.VERIFIED)


@dataclass(frozen=True, slots=True)
class Route:
    """A way for mail; recipients whose routes are equal share connections.

    `domain` is one whose hosts are looked up, else `host` is named outright; `trusted` where the operator named it.
    """

    tls: Tls
    port: int = SMTP_PORT
    domain: str = ""
    host: str = ""
    login: tuple[str, str] | None = field(default=None, repr=False)
    implicit_tls: bool = False
    lmtp: bool = False
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """An HTTP target."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartHost:
    """The server that all mail goes through, where there is one."""

    host: str
    port: int
    login: tuple[str, str] | None = field(default=None, repr=False)


IsHere = Callable[[str], bool]


class Routes:
    """Finds the route of each recipient. `is_here` recognises the addresses of this store, see `registered_here`."""

    def __init__(
        self,
        *,
        is_here: IsHere,
        lmtp: tuple[str, int] | None,
        smart_host: SmartHost | None = None,
        tls: Tls = Tls.OPPORTUNISTIC,
        port: int = SMTP_PORT,
    ) -> None:
        self._is_here = is_here
        self._tls = tls
        self._port = port
        self._smart_host = self._to_smart_host(smart_host) if smart_host else None
        self._lmtp = Route(Tls.NONE, lmtp[1], host=lmtp[0], lmtp=True, trusted=True) if lmtp else None

    @property
    def through_one(self) -> bool:
        """Return whether all mail goes through one server."""
        return self._smart_host is not None

    def of(self, entry: Entry) -> Route | Post:
        """The way to a recipient.

        A server or URL that a target names comes first. Then the smart host takes everything. Without one, accounts
        of this store are reached through our own LMTP listener, so that a machine works by itself, whether or not
        the DNS knows its domains; all others by the mail exchangers of their domain.
        """
        options = entry.options
        if options.get("http"):
            return Post(str(options["targetUrl"]))
        if options.get("mx"):
            return self._to_named(options)
        if self._smart_host:
            return self._smart_host
        if self._lmtp and self._is_here(entry.recipient):
            return self._lmtp
        return Route(self._tls, self._port, domain=domain_of(entry.recipient))

    def _to_named(self, options: EntryOptions) -> Route:
        login = options.get("mxAuth")
        return Route(
            self._protection(bool(login)),
            int(options.get("mxPort") or SMTP_PORT),
            host=str(options["mx"][0]["exchange"]),
            login=(str(login["user"]), str(login["pass"])) if login else None,
            implicit_tls=bool(options.get("mxSecure")),
        )

    def _to_smart_host(self, smart_host: SmartHost) -> Route:
        return Route(
            self._protection(bool(smart_host.login)),
            smart_host.port,
            host=smart_host.host,
            login=smart_host.login,
            implicit_tls=smart_host.port == SUBMISSIONS_PORT,
            trusted=True,
        )

    def _protection(self, has_login: bool) -> Tls:
        """A password goes only to a verified host, unless the operator asked for TLS without certificates."""
        return Tls.VERIFIED if has_login and self._tls is Tls.OPPORTUNISTIC else self._tls


def registered_here(store: Store) -> IsHere:
    """Knows whether this store accepts mail for an address: its domain is known here, and the address resolves."""

    def is_here(address: str) -> bool:
        domain = normalize_domain(domain_of(address))
        return bool(store.addresses.known_domains([domain])) and (
            store.addresses.resolve(address, wildcards=True) is not None
        )

    return is_here
