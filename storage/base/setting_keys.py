"""The settings that there are: what each is for, its default, and which values it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HOUR, _DAY = 3_600_000, 86_400_000
_CENTURY = 36_525 * _DAY
_GIB = 1_073_741_824
_LARGEST = 2**53 - 1
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TIME = r"\d{1,6} *(?:[smhd] *)?"
_TIMES = re.compile(f"{_TIME}(?:, *{_TIME})*", re.ASCII)
_LONGEST_TIMES = 1024


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `kind` is `number`, `size` (bytes), `duration` (milliseconds), `string` or `boolean`."""

    name: str
    kind: str
    default: Any
    description: str
    least: int = 0

    def checked(self, value: Any) -> Any:
        """The value as it is kept: numbers and booleans may come as text. Raises ValueError with what is wrong."""
        match self.kind:
            case "boolean":
                return _boolean(value)
            case "string":
                return _times(value)
        return _whole_number(value, self.least, _CENTURY if self.kind == "duration" else _LARGEST)


def _boolean(value: Any) -> bool:
    text = value.strip().lower() if isinstance(value, str) else value
    if text is True or text == "true":
        return True
    if text is False or text == "false":
        return False
    raise ValueError("must be a boolean")


def _times(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    text = value.strip()
    if len(text) > _LONGEST_TIMES or not (text == "" or _TIMES.fullmatch(text)):
        raise ValueError('must be times like "5m, 2h", each with s, m, h or d')
    return text


def _whole_number(value: Any, least: int, most: int) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError("must be a whole number")
    if number < least:
        raise ValueError(f"must be greater than or equal to {least}")
    if number > most:
        raise ValueError(f"must be less than or equal to {most}")
    return int(number)


def _number(value: Any) -> float:
    if isinstance(value, str) and len(value) < 400 and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a number")
    return value


SETTINGS: Mapping[str, Setting] = {
    "const:archive:time": Setting(
        "Archive time", "duration", 25 * _DAY, "How long deleted messages can be restored"
    ),
    "const:max:storage": Setting("Disk quota", "size", _GIB, "Quota of accounts that have none of their own"),
    "const:max:recipients": Setting(
        "Daily recipients",
        "number",
        2000,
        "How many recipients an account without a limit of its own has in a day; 0 for any number",
    ),
    "const:max:mailboxes": Setting("Mailboxes", "number", 1500, "How many mailboxes an account may have"),
    "const:max:rcpt_to": Setting(
        "Message recipients", "number", 400, "How many recipients one message may have"
    ),
    "const:max:forwards": Setting(
        "Daily forwards",
        "number",
        2000,
        "How many messages an account without a limit of its own forwards in a day; 0 for any number",
    ),
    "const:authlog:time": Setting(
        "Log of events", "duration", 30 * _DAY, "How long security events are kept; 0 switches their log off"
    ),
    "const:autoreply:interval": Setting(
        "Autoreply interval", "duration", 4 * _HOUR, "How long a sender gets no second automatic answer"
    ),
    "const:asp:limit": Setting(
        "Application passwords", "number", 50, "How many application passwords an account may have"
    ),
    "const:max:imap:download": Setting(
        "IMAP download",
        "size",
        10 * _GIB,
        "What an account without a limit of its own may fetch by IMAP in a day",
    ),
    "const:max:pop3:download": Setting(
        "POP3 download",
        "size",
        10 * _GIB,
        "What an account without a limit of its own may fetch by POP3 in a day",
    ),
    "const:max:imap:upload": Setting(
        "IMAP upload",
        "size",
        10 * _GIB,
        "What an account without a limit of its own may store by IMAP in a day",
    ),
    "const:max:filters": Setting(
        "Filters", "number", 400, "How many filters an account without a limit of its own may have"
    ),
    "const:sender:defer_times": Setting(
        "Delays of deferred mail",
        "string",
        "5m, 7m, 8m, 25m, 75m, 2h" + ", 4h" * 11,
        "The pauses between attempts to send a message that was deferred",
    ),
    "const:imap:use_wd_worker_channels": Setting(
        "Worker channels",
        "boolean",
        False,
        "Whether notices to IMAP sessions go through a channel per worker",
    ),
    "const:max:bulk_batch_size": Setting(
        "Batch size", "number", 150, "How many documents are written at one time", least=1
    ),
    "const:domaincache:enabled": Setting(
        "Known domains only",
        "boolean",
        False,
        "Whether mail is taken for domains alone that have or had addresses",
    ),
}
DEFAULTS: Mapping[str, Any] = {key: setting.default for key, setting in SETTINGS.items()}
