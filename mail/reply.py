"""What an answer or a forward takes over from the message it refers to (RFC 5322 §3.6.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mail.compose import Mailbox
from mail.headers import decoded_addresses, flat_addresses, subject_text

_PREFIXED = re.compile(r"^\w+: ")
_MOST_REFERENCES = 50


@dataclass(frozen=True, slots=True)
class Reference:
    """Subject, headers and recipients of the answer."""

    subject: str
    headers: tuple[tuple[str, str], ...]
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]


def refer(headers: Mapping[str, Any], action: str, is_own: Callable[[str], bool]) -> Reference:
    """What follows from a message's parsed headers. `is_own` recognises the answerer's addresses, which drop out.

    `action` is reply, replyAll or forward.
    """
    to, cc = _recipients(headers, action, is_own)
    return Reference(_subject(headers, action), _reference_headers(headers, action), to, cc)


def _last(value: Any) -> str:
    return str((value[-1] if isinstance(value, list) and value else value) or "")


def _subject(headers: Mapping[str, Any], action: str) -> str:
    subject = subject_text(_last(headers.get("subject")))
    return subject if _PREFIXED.match(subject) else ("Fwd: " if action == "forward" else "Re: ") + subject


def _reference_headers(headers: Mapping[str, Any], action: str) -> tuple[tuple[str, str], ...]:
    """References ends with the message referred to; of more than 50 the first and the newest stay."""
    message_id = _last(headers.get("message-id"))
    value = headers.get("references")
    given = " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    ids = list(dict.fromkeys(word for word in given.split() if word != message_id))
    ids += [message_id] if message_id else []
    if len(ids) > _MOST_REFERENCES:
        ids = [ids[0], *ids[1 - _MOST_REFERENCES :]]
    found = [("References", " ".join(ids))] if ids else []
    if message_id and action != "forward":
        found.insert(0, ("In-Reply-To", message_id))
    return tuple(found)


def _recipients(
    headers: Mapping[str, Any], action: str, is_own: Callable[[str], bool]
) -> tuple[tuple[Mailbox, ...], tuple[Mailbox, ...]]:
    if action == "forward":
        return (), ()
    first = next((headers[name] for name in ("reply-to", "from", "sender") if headers.get(name)), ())
    seen: set[str] = set()
    everybody = action == "replyAll"
    to = [*_people(first, is_own, seen), *(_people(headers.get("to"), is_own, seen) if everybody else ())]
    return tuple(to), tuple(_people(headers.get("cc"), is_own, seen)) if everybody else ()


def _people(entries: Sequence[Any] | None, is_own: Callable[[str], bool], seen: set[str]) -> list[Mailbox]:
    found = []
    for entry in flat_addresses(decoded_addresses(entries or ())):
        key = entry["address"].lower()
        if key not in seen and not is_own(entry["address"]):
            seen.add(key)
            found.append(Mailbox(entry["name"], entry["address"]))
    return found
