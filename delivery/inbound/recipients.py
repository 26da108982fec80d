"""Who a message is for: the account or forwarded address behind an envelope recipient, if it takes mail now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from delivery.inbound.replies import (
    DISABLED,
    NEVER_FITS,
    OVER_QUOTA,
    TOO_MANY_MESSAGES,
    UNKNOWN,
    UNKNOWN_DOMAIN,
    Refused,
)
from security.normalize import domain_of, normalize_address
from storage.accounts.documents import User
from storage.accounts.user_fields import is_closed
from storage.addresses.documents import Address, Owner
from storage.base.counters import counter_key
from storage.store import Store

CHECKS = ("disabled", "quota", "rate")
_RATE, _RATE_SECONDS = 60, 60
_ACCOUNT = dict.fromkeys(
    (
        "disabled", "suspended", "quota", "storageUsed", "receivedMax", "username", "name", "address", "tagsview",
        "forwards", "targets", "mtaRelay", "autoreply", "spamLevel", "encryptMessages", "encryptForwarded", "pubKey",
        "smimeCerts", "smimeCipher", "smimeKeyTransport",
    ),
    1,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipient:
    """The address as the envelope has it, normalized, label and dots kept; and what is registered behind it.

    `account` is what a delivery needs of the account, None for a forwarded address.
    """

    address: str
    registration: Address
    account: User | None

    @property
    def owner(self) -> Owner:
        """Whose mail it is: what limits and memories go by."""
        return self.account or self.registration

    @property
    def user(self) -> User:
        """The account of a recipient that has one."""
        assert self.account
        return self.account


class Recipients:
    """Looks recipients up. `checks` are the CHECKS to make; an MTA may make some itself."""

    def __init__(self, store: Store, checks: Collection[str] = CHECKS) -> None:
        self._store = store
        self._checks = frozenset(checks)

    def find(self, address: str, size: int = 0) -> Recipient:
        """The recipient of a message of about `size` bytes. Raises Refused."""
        address = normalize_address(address)
        self._require_known_domain(address)
        found = self._store.addresses.resolve(address, wildcards=True)
        if not found:
            raise Refused(UNKNOWN)
        if user := found.get("user"):
            account = self._store.users.get(user, _ACCOUNT)
            self._check_account(account, size)
            return Recipient(address, found, account)
        if not takes_mail(found):
            raise Refused(DISABLED)
        return Recipient(address, found, None)

    def _require_known_domain(self, address: str) -> None:
        if not self._store.settings.get("const:domaincache:enabled"):
            return
        domain = domain_of(address)
        if not self._store.addresses.known_domains([domain]):
            raise Refused(UNKNOWN_DOMAIN)

    def _check_account(self, account: User, size: int) -> None:
        if "disabled" in self._checks and is_closed(account):
            raise Refused(DISABLED)
        if "quota" in self._checks:
            self._check_quota(account, size)
        if "rate" in self._checks:
            self._check_rate(account)

    def _check_quota(self, account: User, size: int) -> None:
        quota = account.get("quota") or self._store.settings.get("const:max:storage")
        if size > quota:
            raise Refused(NEVER_FITS)
        if (account.get("storageUsed") or 0) + max(size, 1) > quota:
            raise Refused(OVER_QUOTA)

    def _check_rate(self, account: User) -> None:
        most = int(account.get("receivedMax") or _RATE)
        key = counter_key("receivedMax", account["_id"])
        if not self._store.counters.add(key, 1, most, _RATE_SECONDS).allowed:
            raise Refused(TOO_MANY_MESSAGES)


def takes_mail(forwarded: Address) -> bool:
    """Return whether anything happens to mail for a forwarded address."""
    goes_on = forwarded.get("targets") and not forwarded.get("forwardedDisabled")
    return bool(goes_on or (forwarded.get("autoreply") or {}).get("status"))
