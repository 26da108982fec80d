"""Sets of UIDs as clients write them: `7`, `1,2,3`, `3:7`, `3:*`, and lists of these (RFC 3501 §9, sequence-set)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from storage.base.database import Condition

PATTERN = re.compile(r"[0-9]+(?::(?:[0-9]+|\*))?(?:,[0-9]+(?::(?:[0-9]+|\*))?)*")

_NO_UID = 2**32  # UIDs have 32 bits (RFC 3501 §2.3.1.1)


@dataclass(frozen=True, slots=True)
class UidSet:
    """Single UIDs, and ranges (first, last), `last` None being the end of the mailbox."""

    single: tuple[int, ...] = ()
    ranges: tuple[tuple[int, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> UidSet:
        """Read a set. Raises ValueError."""
        if not PATTERN.fullmatch(text):
            raise ValueError("not a set of UIDs")
        single: list[int] = []
        ranges: list[tuple[int, int | None]] = []
        for part in text.split(","):
            first, colon, last = part.partition(":")
            if not colon:
                single.append(_number(first))
            elif last == "*":
                ranges.append((_number(first), None))
            else:
                low, high = sorted((_number(first), _number(last)))
                ranges.append((low, high))
        return cls(tuple(single), tuple(ranges))

    def condition(self) -> Condition:
        """The condition on `uid` as a query."""
        parts: list[Condition] = [{"uid": {"$in": list(self.single)}}] if self.single else []
        parts += [{"uid": {"$gte": a} if b is None else {"$gte": a, "$lte": b}} for a, b in self.ranges]
        return parts[0] if len(parts) == 1 else {"$or": parts}


def _number(digits: str) -> int:
    """The number, or one above all UIDs: the database takes no number of any length."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= 10 else _NO_UID
