"""Who vouches for a message that comes in: SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489).

Either we ask the DNS ourselves (`verify`), or we read the Authentication-Results of an MTA of ours (`from_fields`,
RFC 8601). That MTA must remove fields with its own id from mail that comes in (RFC 8601 §5); the topmost counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

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
from security.normalize import domain_of

log = structlog.get_logger()

_SUFFIXES = PublicSuffixList()
_SPF_SECONDS = 20
_MOST_SIGNATURES = 5
_LONG_RUN = re.compile(rb"[ \t]{64,}|(?:\r\n){64,}")
_MOST_STEPS = 200_000_000
_POLICIES = frozenset({"none", "quarantine", "reject"})
_TOKEN = re.compile(
    r'\((?P<comment>(?:[^()\\]|\\.)*)\)|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<mark>[;=])|(?P<word>[^\s()";=]+)|\s+|.',
    re.S,
)
_MOST_FIELDS, _LONGEST_FIELD = 20, 4096
_POLICY_COMMENT = re.compile(r"\bp=(none|quarantine|reject)\b", re.I)

Vouched = str | Literal[False]
"""The domain that passed a check, False for none."""
Result = tuple[str, str, dict[str, str], str]


class Dmarc(TypedDict):
    """`domain` is the one that From names, False where nothing shows that the message is from it."""

    domain: Vouched
    policy: str


class _Checked(TypedDict):
    spf: Vouched
    dkim: Vouched


class Verification(_Checked, total=False):
    """`verificationResults` of a stored message. `dmarc` is missing where the domain has no policy."""

    dmarc: Dmarc


@dataclass(frozen=True, slots=True)
class Peer:
    """Who handed the message in: address, empty if that is not known, name given in HELO, and envelope sender."""

    ip: str
    helo: str
    sender: str


def verify(raw: bytes, peer: Peer, dns: Dns) -> Verification:
    """`verificationResults`: the domain that `spf` and `dkim` pass for, else False, and `dmarc` with its policy.

    Runs as long as the DNS takes, so it belongs into a thread.
    """
    author = _author_domain(raw)
    spf_domain = _spf(peer, dns)
    signed = list(_signed(raw, dns))
    aligned = [domain for domain in signed if _same_organization(domain, author)]
    results: Verification = {"spf": spf_domain or False, "dkim": next(iter([*aligned, *signed]), False)}
    if author and (policy := _policy(author, dns)):
        passes = _passes(policy, author, spf_domain, signed)
        results["dmarc"] = {"domain": author if passes else False, "policy": policy["p"]}
    return results


def _author_domain(raw: bytes) -> str:
    """The domain of the one From address; with several authors DMARC says nothing (RFC 7489 §6.6.1)."""
    authors = author_addresses(parse(split(raw)[0] + b"\r\n").root["parsedHeader"])
    domain = domain_of(ascii_address(authors[0])).lower() if len(authors) == 1 else ""
    return domain if domain.isascii() else ""


def author_addresses(headers: Mapping[str, Any]) -> list[str]:
    """The addresses in From, of a parsed header."""
    return [str(entry["address"]) for entry in flat_addresses(headers.get("from"))]


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
    """Return whether dkimpy would be at it for seconds: it takes the square of the length of each run of blanks."""
    return sum((run.end() - run.start()) ** 2 for run in _LONG_RUN.finditer(raw)) > _MOST_STEPS


def _policy(domain: str, dns: Dns) -> dict[str, str] | None:
    """The DMARC record of a domain or of its organisation, None without one (RFC 7489 §6.6.3)."""
    for name in dict.fromkeys((domain, _organization(domain))):
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
    return domain == author if strict else _same_organization(domain, author)


def _same_organization(domain: str, other: str) -> bool:
    return bool(domain) and _organization(domain) == _organization(other)


def _organization(domain: str) -> str:
    return str(_SUFFIXES.privatesuffix(domain) or domain)


def from_fields(fields: Iterable[tuple[str, str]], authserv_id: str) -> Verification | None:
    """What the Authentication-Results of this id say, None without any. `fields` are (name in lower case, text)."""
    found: dict[str, list[Result]] = {}
    texts = [value[:_LONGEST_FIELD] for name, value in fields if name == "authentication-results"][
        :_MOST_FIELDS
    ]
    own = [parts for parts in map(_parts, texts) if _id_of(parts) == authserv_id.lower()]
    if not own:
        return None
    for result in (result for parts in own for result in _results(parts[1:])):
        found.setdefault(result[0], []).append(result)
    results: Verification = {
        "spf": _passed(found.get("spf", [])[:1], "smtp.mailfrom", "smtp.helo"),
        "dkim": _passed(found.get("dkim", []), "header.d", "header.i"),
    }
    if dmarc := found.get("dmarc"):
        results["dmarc"] = _dmarc(dmarc[0])
    return results


def _parts(text: str) -> list[list[tuple[str, str]]]:
    """The tokens (kind, text) between semicolons."""
    parts: list[list[tuple[str, str]]] = [[]]
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "mark" and match[0] == ";":
            parts.append([])
        elif kind:
            parts[-1].append((kind, match[kind]))
    return parts


def _id_of(parts: list[list[tuple[str, str]]]) -> str:
    return next((text.lower() for kind, text in parts[0] if kind in ("word", "quoted")), "")


def _results(parts: Iterable[list[tuple[str, str]]]) -> Iterator[Result]:
    """Method, result, properties by `type.name`, and the comments."""
    for part in parts:
        words = [text for kind, text in part if kind != "comment"]
        pairs = [(words[n - 1], words[n + 1]) for n, w in enumerate(words[1:-1], 1) if w == "="]
        if pairs:
            comments = " ".join(text for kind, text in part if kind == "comment")
            method, _, _ = pairs[0][0].lower().partition("/")
            yield method, pairs[0][1].lower(), {k.lower(): v.lower() for k, v in pairs[1:]}, comments


def _passed(results: Iterable[Result], *properties: str) -> Vouched:
    """The domain of the first that passed, else False."""
    for _, result, values, _ in results:
        domain = next((values[name].rpartition("@")[2] for name in properties if values.get(name)), "")
        if result == "pass" and domain:
            return domain
    return False


def _dmarc(result: Result) -> Dmarc:
    policy = result[2].get("policy.dmarc") or next(iter(_POLICY_COMMENT.findall(result[3])), "none")
    return {"domain": _passed([result], "header.from"), "policy": policy.lower()}
