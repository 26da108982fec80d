"""Who vouches for a message that comes in: SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dkim
import spf
import structlog
from publicsuffixlist import PublicSuffixList

from mail.compose import ascii_address
from mail.headers import flat_addresses
from mail.mime_tree import parse
from mail.rewrite import split
from network.dns import Dns, DnsFault
from problems import summary

log = structlog.get_logger()

_SUFFIXES = PublicSuffixList()
_SPF_SECONDS = 20
_MOST_SIGNATURES = 5
_LONG_RUN = re.compile(rb"[ \t]{64,}|(?:\r\n){64,}")
_MOST_STEPS = 200_000_000
_POLICIES = frozenset({"none", "quarantine", "reject"})


@dataclass(frozen=True, slots=True)
class Peer:
    """Who handed the message in: address, empty if that is not known, name given in HELO, and envelope sender."""

    ip: str
    helo: str
    sender: str


def verify(raw: bytes, peer: Peer, dns: Dns) -> dict[str, Any]:
    """`verificationResults`: the domain that `spf` and `dkim` pass for, else False, and `dmarc` with its policy.

    Runs as long as the DNS takes, so it belongs into a thread.
    """
    author = _author_domain(raw)
    spf_domain = _spf(peer, dns)
    signed = list(_signed(raw, dns))
    aligned = next((domain for domain in signed if _same_organisation(domain, author)), None)
    found: dict[str, Any] = {"spf": spf_domain or False, "dkim": aligned or next(iter(signed), False)}
    if author and (policy := _policy(author, dns)):
        found["dmarc"] = {"domain": author if _passes(policy, author, spf_domain, signed) else False}
        found["dmarc"]["policy"] = policy["p"]
    return found


def _author_domain(raw: bytes) -> str:
    """The domain of the one From address; with several authors DMARC says nothing (RFC 7489 §6.6.1)."""
    headers = parse(split(raw)[0] + b"\r\n").root["parsedHeader"]
    addresses = [ascii_address(entry["address"]) for entry in flat_addresses(headers.get("from"))]
    return addresses[0].rpartition("@")[2].lower() if len(addresses) == 1 else ""


class _Query(spf.query):  # type: ignore[misc]
    """An SPF check that asks through our interface."""

    def __init__(self, peer: Peer, dns: Dns) -> None:
        super().__init__(
            peer.ip, peer.sender or f"postmaster@{peer.helo}", peer.helo, timeout=_SPF_SECONDS, querytime=0
        )
        self._dns = dns

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        """Called by the check for each record that it needs."""
        try:
            found = self._dns.lookup(str(name).rstrip("."), qtype)
        except DnsFault as error:
            raise spf.TempError(str(error)) from error
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} look-ups found nothing")
        return [_spf_record(text, qtype) for text in found]


def _spf_record(text: str, kind: str) -> Any:
    if kind in ("TXT", "SPF"):
        return [text.encode()]
    if kind == "MX":
        priority, _, host = text.partition(" ")
        return int(priority), host.rstrip(".")
    return text.rstrip(".")


def _spf(peer: Peer, dns: Dns) -> str:
    """The domain that lets this peer send for it, empty for none."""
    if not peer.ip:
        return ""
    try:
        result = _Query(peer, dns).check()[0]
    except (spf.TempError, spf.PermError, UnicodeError, ValueError, IndexError) as error:
        log.info("no SPF result", sender=peer.sender, reason=summary(error))
        return ""
    return (peer.sender.rpartition("@")[2] or peer.helo).lower() if result == "pass" else ""


def _signed(raw: bytes, dns: Dns) -> Iterator[str]:
    """The domains whose signatures are good."""

    def text_record(name: bytes, timeout: int = 5) -> bytes | None:
        return next((text.encode() for text in dns.lookup(name.decode().rstrip("."), "TXT")), None)

    try:
        message = dkim.DKIM(raw)
    except (dkim.DKIMException, IndexError) as error:
        log.info("no DKIM result", reason=summary(error))
        return
    if takes_long(raw):
        log.info("no DKIM result", reason="the message has too long runs of blanks or empty lines")
        return
    signatures = [name for name, _ in message.headers if name.lower() == b"dkim-signature"]
    for number in range(min(len(signatures), _MOST_SIGNATURES)):
        try:
            if message.verify(number, dnsfunc=text_record):
                yield message.domain.decode().lower()
        except (dkim.DKIMException, DnsFault, UnicodeError, ValueError) as error:
            log.info("no DKIM result", reason=summary(error))


def takes_long(raw: bytes) -> bool:
    """Whether dkimpy would be at it for seconds: it takes the square of the length of each run of blanks."""
    return sum((run.end() - run.start()) ** 2 for run in _LONG_RUN.finditer(raw)) > _MOST_STEPS


def _policy(domain: str, dns: Dns) -> dict[str, str] | None:
    """The DMARC record of a domain or of its organisation, None without one (RFC 7489 §6.6.3)."""
    for name in dict.fromkeys((domain, _organisation(domain))):
        try:
            records = [text for text in dns.lookup(f"_dmarc.{name}", "TXT") if text.startswith("v=DMARC1")]
        except DnsFault as error:
            log.info("no DMARC policy", domain=domain, reason=summary(error))
            return None
        if len(records) == 1:
            tags = dict(part.strip().split("=", 1) for part in records[0].split(";") if "=" in part)
            tags = {name.strip().lower(): value.strip().lower() for name, value in tags.items()}
            policy = tags.get("sp") if name != domain and "sp" in tags else tags.get("p")
            return {**tags, "p": policy} if policy in _POLICIES else None
    return None


def _passes(policy: dict[str, str], author: str, spf_domain: str, signed: list[str]) -> bool:
    by_spf = _aligned(spf_domain, author, strict=policy.get("aspf") == "s")
    return by_spf or any(_aligned(domain, author, strict=policy.get("adkim") == "s") for domain in signed)


def _aligned(domain: str, author: str, *, strict: bool) -> bool:
    return domain == author if strict else _same_organisation(domain, author)


def _same_organisation(domain: str, other: str) -> bool:
    return bool(domain) and _organisation(domain) == _organisation(other)


def _organisation(domain: str) -> str:
    return str(_SUFFIXES.privatesuffix(domain) or domain)
