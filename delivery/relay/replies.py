"""What became of an attempt to deliver, in the terms of SMTP (RFC 5321 §4.2, RFC 3463)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LONGEST = 600


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said, or we in its stead; `host` is who said it, empty where it was us."""

    code: int
    status: str
    text: str
    host: str = ""

    @property
    def is_permanent(self) -> bool:
        """Return whether trying again is of no use."""
        return self.code >= 500

    def __str__(self) -> str:
        return f"{self.code} {self.status} {self.text}".strip()


class Failure(Exception):
    """An attempt did not succeed; the reply says whether another one may."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def said(code: int, text: bytes | str, host: str) -> Reply:
    """A server's reply with its enhanced code, or the general one of its class."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    lines = [line.strip() for line in plain.splitlines()]
    found = _ENHANCED.match(lines[0]) if lines else None
    status = found[1] if found and found[1][0] == str(code)[0] else f"{code // 100}.0.0"
    told = " ".join(line.removeprefix(status).strip() if found else line for line in lines)
    return Reply(code, status, _CONTROL.sub(" ", told)[:_LONGEST].strip(), host)


def temporary(status: str, text: str, host: str = "") -> Failure:
    """A failure that may pass; `status` like 4.4.1."""
    return Failure(Reply(450, status, _CONTROL.sub(" ", text)[:_LONGEST], host))


def permanent(status: str, text: str, host: str = "") -> Failure:
    """A failure that stays; `status` like 5.1.2."""
    return Failure(Reply(550, status, _CONTROL.sub(" ", text)[:_LONGEST], host))
