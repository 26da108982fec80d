"""Operations of the contract that are still to come; they answer 501. The list only shrinks."""

from __future__ import annotations

from typing import Any, NoReturn

from problems import Problem

PENDING: frozenset[str] = frozenset()


def not_implemented(**_: Any) -> NoReturn:
    """Answer 501 after token, input and rights were checked like anywhere else."""
    raise Problem("NotImplemented")
