"""`verificationResults` out of the Authentication-Results that an MTA of ours wrote (RFC 8601).

The MTA must remove fields with its own id from mail that comes in (RFC 8601 §5); of several, the topmost counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

_TOKEN = re.compile(
    r'\((?P<comment>(?:[^()\\]|\\.)*)\)|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<mark>[;=])|(?P<word>[^\s()";=]+)|\s+|.',
    re.S,
)
_MOST, _LONGEST = 20, 4096
_POLICY = re.compile(r"\bp=(none|quarantine|reject)\b", re.I)

Result = tuple[str, str, dict[str, str], str]


def from_fields(fields: Iterable[tuple[str, str]], authserv_id: str) -> dict[str, Any] | None:
    """What the fields of this id say, None where there is none. `fields` are (name in lower case, text)."""
    found: dict[str, list[Result]] = {}
    texts = [value[:_LONGEST] for name, value in fields if name == "authentication-results"][:_MOST]
    own = [parts for parts in map(_parts, texts) if _id_of(parts) == authserv_id.lower()]
    if not own:
        return None
    for result in (result for parts in own for result in _results(parts[1:])):
        found.setdefault(result[0], []).append(result)
    answer: dict[str, Any] = {
        "spf": _passed(found.get("spf", [])[:1], "smtp.mailfrom", "smtp.helo"),
        "dkim": _passed(found.get("dkim", []), "header.d", "header.i"),
    }
    if dmarc := found.get("dmarc"):
        answer["dmarc"] = _dmarc(dmarc[0])
    return answer


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


def _passed(results: Iterable[Result], *properties: str) -> str | bool:
    """The domain of the first that passed, else False."""
    for _, result, values, _ in results:
        domain = next((values[name].rpartition("@")[2] for name in properties if values.get(name)), "")
        if result == "pass" and domain:
            return domain
    return False


def _dmarc(result: Result) -> dict[str, Any]:
    policy = result[2].get("policy.dmarc") or next(iter(_POLICY.findall(result[3])), "none")
    return {"domain": _passed([result], "header.from"), "policy": policy.lower()}
