"""What is to be done with a message for one account: its rules, filters and level, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from delivery.inbound.arrival import SPAM_SCORES, Arrival, with_trace
from delivery.inbound.filtering import Place, Source, Verdict, decide, incoming
from delivery.inbound.recipients import Recipient
from delivery.inbound.verification import author_addresses
from mail.compose import ascii_address
from mail.headers import flat_addresses
from mail.message import Indexed, index
from mail.mime_tree import header_lines
from mail.rewrite import split, without
from problems import MailboxNotFound
from security.normalize import domain_of, normalize_domain
from storage.accounts.documents import Filter, User
from storage.addresses.documents import DomainRule
from storage.addresses.domain_access import BLOCK
from storage.mailboxes.documents import Mailbox
from storage.store import Store

_NAMES = {
    Source.DOMAIN: "user-domainaccess",
    Source.FILTER: "user-filter",
    Source.LEVEL: "user-spamlevel",
}
_CLASSIFICATION = "WD-Mail-Classification"
_CLASSIFICATION_FIELDS = (_CLASSIFICATION, f"{_CLASSIFICATION}-Source", f"{_CLASSIFICATION}-Info")
_NEVER_SPAM = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict, the mailbox (None for nowhere), what matched, and the message as it is stored.

    `known` is the message's index, if it was not changed since it was made.
    """

    verdict: Verdict
    mailbox: Mailbox | None
    matched: Sequence[ObjectId | str]
    raw: bytes
    known: Indexed | None


def decided(store: Store, arrival: Arrival, recipient: Recipient) -> Decision:
    """Ask the lists of domains, the filters and the spam level of an account, in this order."""
    account = recipient.user
    raw = with_trace(arrival, recipient.address)
    indexed = index(raw, arrival.envelope.time)
    domain = _author_domain(indexed.document["mimeTree"]["parsedHeader"])
    rule = _domain_rule(store, account, domain)
    filters = store.filters.enabled(account["_id"])
    verdict = decide(
        filters,
        incoming(indexed.document),
        domain_rule=rule["action"] == BLOCK if rule else None,
        level=level_says(account.get("spamLevel", 50), arrival.spam_action),
    )
    rules = [f"{rule['action']}:{rule['tag']}:{rule['_id']}"] if rule else []
    marked = _marked(raw, verdict, domain, filters)
    return Decision(
        verdict=verdict,
        mailbox=_mailbox(store, account["_id"], verdict),
        matched=[*rules, *verdict.matched],
        raw=marked,
        known=indexed if marked is raw else None,
    )


def _marked(raw: bytes, verdict: Verdict, domain: str, filters: Sequence[Filter]) -> bytes:
    """With the fields that say who decided about spam, where somebody did."""
    if verdict.source is None:
        return raw
    info = _info(verdict, domain, filters)
    return _classified(raw, junk=bool(verdict.spam), source=_NAMES[verdict.source], info=info)


def _author_domain(headers: Mapping[str, Any]) -> str:
    """The normalized domain of the first address of From, else of Sender; empty without one."""
    senders = (entry["address"] for entry in flat_addresses(headers.get("sender")))
    author = next(iter([*author_addresses(headers), *senders]), "")
    return normalize_domain(domain_of(author))


def _domain_rule(store: Store, account: User, domain: str) -> DomainRule | None:
    tags = account.get("tagsview")
    return store.domain_access.decide(tags, domain) if tags and domain else None


def _info(verdict: Verdict, domain: str, filters: Sequence[Filter]) -> str:
    """One sentence for the owner: who decided, and where to change it."""
    what = "spam" if verdict.spam else "no spam"
    match verdict.source:
        case Source.DOMAIN:
            host = ascii_address(f"@{domain}")[1:]
            return (
                f"Mail from {host} is taken as {what} by a list of sender domains that your provider keeps."
            )
        case Source.FILTER:
            made: Any = next((f.get("created") for f in filters if f["_id"] == verdict.deciding), None)
            when = f" of {made:%Y-%m-%d}" if made else ""
            return f"Your filter{when} takes it as {what}; change or delete that filter to undo this."
    return f"Your spam level takes it as {what}; set another level to undo this."


def _mailbox(store: Store, user: ObjectId, verdict: Verdict) -> Mailbox | None:
    """INBOX stands in for one that is gone."""
    if verdict.place is Place.NOWHERE:
        return None
    if verdict.mailbox and verdict.place is Place.MAILBOX:
        return next(iter(store.mailboxes.some(user, [verdict.mailbox])), None) or inbox(store, user)
    if verdict.place is Place.JUNK:
        with suppress(MailboxNotFound):
            return store.mailboxes.by_special_use(user, "\\Junk")
    return inbox(store, user)


def inbox(store: Store, user: ObjectId) -> Mailbox:
    """INBOX of an account. Raises MailboxNotFound."""
    return store.mailboxes.by_path(user, "INBOX")


def level_says(level: object, action: str) -> bool | None:
    """What an account's spam level says: spam, no spam, or nothing. 0 means that all is spam, 100 that nothing is."""
    if isinstance(level, bool) or not isinstance(level, int | float) or level < 0:
        return None
    if level == 0:
        return True
    if level >= _NEVER_SPAM:
        return False
    return True if SPAM_SCORES.get(action, 0) >= level else None


def _classified(raw: bytes, *, junk: bool, source: str, info: str) -> bytes:
    """The message with the fields that say who called it spam or not, replacing fields of the same names."""
    header, body = split(raw)
    for name in _CLASSIFICATION_FIELDS:
        header = without(header, name)
    values = ("junk" if junk else "not-junk", source, info)
    lines = "".join(
        f"{name}: {value}\r\n" for name, value in zip(_CLASSIFICATION_FIELDS, values, strict=True)
    )
    return header + lines.encode() + b"\r\n" + body


def classification_lines(raw: bytes) -> bytes:
    """The fields that say who called the message spam or not."""
    lines = header_lines(split(raw)[0])
    names = tuple(name.lower().encode() for name in _CLASSIFICATION_FIELDS)
    own = [line for line in lines if line.partition(b":")[0].strip().lower() in names]
    return b"".join(line + b"\r\n" for line in own)
