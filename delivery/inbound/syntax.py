"""What an SMTP client writes: paths with their parameters, and the lines that follow DATA."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from typing import IO

import structlog

from problems import summary

log = structlog.get_logger()

_ATOM = r'[^\s<>@"(),:;\\\[\]\x00-\x1f\x7f-\x9f\ud800-\udfff]+'
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f-\x9f\ud800-\udfff]|\\[\x20-\x7e])*"'
_DOMAIN = rf"(?:{_ATOM}|\[[0-9A-Za-z.:]+\])"
_ROUTE = rf"(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"
_ADDRESS = rf"(?:{_ATOM}|{_QUOTED})@{_DOMAIN}"
_PATH = re.compile(rf"\s*<(?P<address>{_ROUTE}{_ADDRESS}|postmaster|)>(?P<rest>(?: .*)?)\Z", re.I)
_ROUTE_ONLY = re.compile(_ROUTE)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9\-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?")
_LONGEST = 1024
_END = b"\r\n.\r\n"
_IN_MEMORY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Path:
    """An argument of MAIL or RCPT (RFC 5321 §4.1.2, RFC 6531): an address, empty for the null one, and parameters.

    Parameters are in upper case; one without a value is empty.
    """

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


class DotData:
    """What follows DATA, up to the dot that stands alone (RFC 5321 §4.5.2), with the dots of its lines undone.

    It takes pieces of any size into a spool that goes to disk when it grows. Only CRLF ends a line here. A dot between
    bare LFs or CRs is content, even if a careless server reads it otherwise: that is what SMTP smuggling lives on.

    What is larger than `largest`, or does not fit on the disk (`fault`), is read to its end and not kept.
    """

    def __init__(self, largest: int) -> None:
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._largest = largest
        # the line of the DATA command ends with the CRLF that a dot may follow at once
        self._pending = b"\r\n"
        self._skip = 2
        self.size = 0
        self.fault: OSError | None = None

    @property
    def is_too_large(self) -> bool:
        """Return whether there was more than is taken."""
        return self.size > self._largest

    def feed(self, data: bytes) -> bytes | None:
        """Take a piece; None while the end has not come, else what stands behind it."""
        data = self._pending + data
        end = data.find(_END)
        if end >= 0:
            self._take(data[: end + 2])
            return data[end + len(_END) :]
        held = self._held(data)
        self._take(data[: len(data) - held])
        self._pending = data[len(data) - held :]
        return None

    def _held(self, data: bytes) -> int:
        """How many bytes at the end could begin the end, or a line whose dot is to go."""
        return next(length for length in (4, 3, 2, 1, 0) if data.endswith(_END[:length]))

    def _take(self, data: bytes) -> None:
        """Pieces begin at the beginning of a line or in the midst of one, never within CRLF and dot."""
        text = data.replace(b"\r\n.", b"\r\n")
        text, self._skip = text[self._skip :], max(self._skip - len(text), 0)
        self.size += len(text)
        if self.is_too_large or self.fault:
            return
        try:
            self._spool.write(text)
        except OSError as error:
            log.error("a message cannot be spooled", reason=summary(error))
            self.fault = error

    def content(self) -> bytes:
        """The message."""
        self._spool.seek(0)
        return self._spool.read()

    def close(self) -> None:
        """Let go of the spool."""
        self._spool.close()
