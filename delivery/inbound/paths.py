"""Reverse-paths, forward-paths and their parameters, as MAIL and RCPT have them (RFC 5321 §4.1.2, RFC 6531)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ATOM = r'[^\s<>@"(),:;\\\[\]\x00-\x1f\x7f-\x9f\ud800-\udfff]+'
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f-\x9f\ud800-\udfff]|\\[\x20-\x7e])*"'
_DOMAIN = rf"(?:{_ATOM}|\[[0-9A-Za-z.:]+\])"
_ROUTE = rf"(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"
_ADDRESS = rf"(?:{_ATOM}|{_QUOTED})@{_DOMAIN}"
_PATH = re.compile(rf"\s*<(?P<address>{_ROUTE}{_ADDRESS}|postmaster|)>(?P<rest>(?: .*)?)\Z", re.I)
_ROUTE_ONLY = re.compile(_ROUTE)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9\-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?")
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Path:
    """An address, empty for the null one, and the parameters in upper case; one without a value is empty."""

    address: str
    parameters: dict[str, str]


def read_path(keyword: str, argument: str | None) -> Path | None:
    """What follows MAIL or RCPT; `keyword` is `FROM:` or `TO:`. None for what is no path. Source routes go."""
    text = argument or ""
    if text[: len(keyword)].upper() != keyword or len(text) > _LONGEST:
        return None
    match = _PATH.match(text[len(keyword) :])
    words = match["rest"].split() if match else []
    found = [_PARAMETER.fullmatch(word) for word in words]
    if not match or not all(found):
        return None
    parameters = {m[1].upper(): (m[2] or "").upper() for m in found if m}
    return Path(_unquoted(_ROUTE_ONLY.sub("", match["address"], count=1)), parameters)


def _unquoted(address: str) -> str:
    """A quoted local part that needs no quotes is the same address without them."""
    local, at, domain = address.rpartition("@")
    if not local.startswith('"'):
        return address
    plain = re.sub(r"\\(.)", r"\1", local[1:-1])
    return f"{plain}{at}{domain}" if re.fullmatch(_ATOM, plain) else address
