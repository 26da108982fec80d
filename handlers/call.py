"""What an operation needs to know of the request it answers, beside its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from bson import ObjectId

from storage.store import Store

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the label of the token (a user id or an operator's name), its role, and its token record's id.

    `token` is None for the static root token, for tokens without a time to live, and where no token is needed.
    """

    user: str = "root"
    role: str = "root"
    token: str | None = None

    @property
    def user_id(self) -> ObjectId | None:
        """The account that the token belongs to, if it belongs to one."""
        return ObjectId(self.user) if len(self.user) == 24 and ObjectId.is_valid(self.user) else None


def run_here(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call `function` in this thread."""
    return function(*arguments)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the store, the caller, and the labels that go to logs.

    `offload` runs CPU-heavy functions where they do not stall other requests. `own_only` is the account that a
    listing must be restricted to, None when the caller may list all.
    """

    store: Store
    caller: Caller = field(default_factory=Caller)
    sess: str | None = None
    ip: str | None = None
    offload: Callable[..., Any] = run_here
    own_only: ObjectId | None = None

    @property
    def now(self) -> datetime:
        """The time now, in UTC."""
        return self.store.clock()
