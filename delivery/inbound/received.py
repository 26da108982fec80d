"""Who handed a message to the MTA, by the Received field that it wrote (RFC 5321 §4.4).

What the client says of itself stands there beside what the MTA saw, and each MTA has a form of its own. Only a field
that has one of these forms from its beginning says anything; the place in it tells the one from the other.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

_IP = r"\[(?:IPv6:)?(?P<ip>[0-9A-Fa-f.:]+)\](?::\d+)?"
_NAME = r"(?!HELO )<?[\w.\-]+>?"
_HELO = r"(?P<helo>\S+)"
_WORDS = r"(?: (?:helo=(?P<said>[^\s()]*)|(?:ident|port)=[^\s()]*))*"
_FIRST_WORDS = r"(?:(?:helo=(?P<said>[^\s()]*)|(?:ident|port)=[^\s()]*) ?)+"

_POSTFIX = (rf"{_HELO} \({_NAME} {_IP}\)",)
_FORMS: Mapping[str, tuple[str, ...]] = {
    "postfix": _POSTFIX,
    "exim": (rf"(?P<helo>{_NAME}) \({_IP}{_WORDS}\)", rf"{_IP} \({_FIRST_WORDS}\)", rf"{_IP}(?! \()"),
    "haraka": (*_POSTFIX, rf"{_HELO} \({_IP}\)"),
    "sendmail": (rf"{_HELO} \((?:[^\s()\[\]]+@)?(?:{_NAME} )?{_IP}(?: \(may be forged\))?\)",),
    "qmail": (
        rf"(?P<helo>{_NAME}) (?:\(HELO (?P<said>[^\s()]*)\) )?\((?:[^\s()]*@)?(?P<ip>[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*)\)",
    ),
}
FORMS = tuple(_FORMS)
"""The MTAs whose form is known."""
AUTO, NONE = "auto", "none"

_SPACES = re.compile(r"\s+")
_BY = re.compile(r"\sby\s")
_ADDRESS_IN_COMMENT = re.compile(r"\[(?:IPv6:)?[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*\]|\((?:\S*@)?\d+(?:\.\d+){3}\)")
_LONGEST = 2048


class ReceivedForm:
    """Reads the field of an MTA: one of FORMS, `auto` for any of them, `none`, or a regular expression.

    An expression is matched from the start of the field, white space made one blank; its group `ip` is the address
    that the MTA saw, its group `helo`, if there is one, the name that the client gave. Raises ValueError.
    """

    def __init__(self, form: str = AUTO) -> None:
        if form in (AUTO, NONE):
            known = [pattern for patterns in _FORMS.values() for pattern in patterns] if form == AUTO else []
        else:
            known = list(_FORMS.get(form, ()))
        patterns = [rf"from {pattern}(?= |$)" for pattern in known]
        self._is_own = form not in (*FORMS, AUTO, NONE)
        self._patterns = [re.compile(pattern, re.I) for pattern in ([form] if self._is_own else patterns)]
        if any("ip" not in pattern.groupindex for pattern in self._patterns):
            raise ValueError("has no group `ip`")

    def read(self, text: str) -> tuple[str, str]:
        """Address and name of the client, of an unfolded field; both are empty where its form is none of these.

        Where two readings differ, or a second address stands where none belongs, somebody made it look so.
        """
        text = _SPACES.sub(" ", text[:_LONGEST]).strip()
        found = {client for pattern in self._patterns if (client := self._client(pattern, text))}
        return _agreed(found)

    def _client(self, pattern: re.Pattern[str], text: str) -> tuple[str, str] | None:
        match = pattern.match(text)
        if not match or not (self._is_own or _ends_plainly(text[match.end() :])):
            return None
        groups = match.groupdict()
        ip = _address(groups["ip"] or "")
        return (ip, groups.get("said") or groups.get("helo") or "") if ip else None


def _agreed(found: set[tuple[str, str]]) -> tuple[str, str]:
    """One address, and the name only where it is one, too."""
    ips, names = {ip for ip, _ in found}, {name for _, name in found}
    return (ips.pop(), names.pop() if len(names) == 1 else "") if len(ips) == 1 else ("", "")


def _ends_plainly(rest: str) -> bool:
    """Return whether nothing but comments without an address stands before the one `by`."""
    return len(_BY.findall(rest)) <= 1 and not _ADDRESS_IN_COMMENT.search(_BY.split(rest, maxsplit=1)[0])


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
