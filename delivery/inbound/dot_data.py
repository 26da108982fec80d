"""What follows DATA: lines with their dots undone, up to the dot that stands alone (RFC 5321 §4.5.2).

Only CRLF ends a line here. A dot between bare LFs or CRs is content, whatever a careless server would make of it:
that is what SMTP smuggling lives on.
"""

from __future__ import annotations

import tempfile
from typing import IO

import structlog

from problems import summary

log = structlog.get_logger()

_END = b"\r\n.\r\n"
_IN_MEMORY = 1024 * 1024


class DotData:
    """Takes the data in whatever pieces it comes, into a spool that goes to disk when it grows.

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
        """Whether there was more than is taken."""
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
