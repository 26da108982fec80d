"""What changes of an account in one step, in the terms of the account; how that is written stands here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from storage.accounts.documents import OwnUserFields, TemporaryPassword
from storage.accounts.second_factors import NO_SECOND_FACTORS
from storage.accounts.user_fields import stored_fields
from storage.base.database import Change

_KEPT_PASSWORDS = 20
_NO_BREACH = {"lastPwnedCheck": "", "passwordPwned": ""}


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What follows from new encryption keys: other fields of the account, and what is known of the keys."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    own: OwnUserFields = field(default_factory=OwnUserFields)

    def as_fields(self) -> dict[str, Any]:
        """As an update sets them, without touching the rest of what Mallard keeps of the account."""
        return {**self.fields, **{f"mallard.{name}": value for name, value in self.own.items()}}

    def as_document(self) -> dict[str, Any]:
        """As a new account has them."""
        return {**self.fields, **({"mallard": self.own} if self.own else {})}


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A new password's hash, empty for none, in place of the one before."""

    hash: str
    before: str | None
    at: datetime

    def as_fields(self) -> dict[str, Any]:
        """As an update sets them; a temporary password ends."""
        return {
            "password": self.hash,
            "tempPassword": False,
            "passwordChange": self.at,
            "requirePasswordChange": False,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What changes of an account."""

    fields: Mapping[str, Any] = field(default_factory=dict)  # as a request gives them
    keys: KeyFacts = field(default_factory=KeyFacts)
    password: NewPassword | None = None
    temporary: TemporaryPassword | None = None  # a temporary password beside the own one
    clear_second_factors: bool = False
    end_sessions: bool = False

    def as_update(self) -> Change:
        """The update document; empty where nothing changes."""
        change = {
            "$set": self._values(),
            "$unset": _NO_BREACH if self.password or self.temporary else {},
            "$inc": {"authVersion": 1} if self.end_sessions else {},
            "$push": self._replaced_password(),
        }
        return {operator: values for operator, values in change.items() if values}

    def _values(self) -> dict[str, Any]:
        return {
            **stored_fields(dict(self.fields)),
            **self.keys.as_fields(),
            **(NO_SECOND_FACTORS if self.clear_second_factors else {}),
            **(self.password.as_fields() if self.password else {}),
            **({"tempPassword": self.temporary} if self.temporary else {}),
        }

    def _replaced_password(self) -> dict[str, Any]:
        """The password before goes to the old ones, of which the newest are kept."""
        if not self.password or not self.password.hash or not self.password.before:
            return {}
        old = {"date": self.password.at, "hash": self.password.before}
        return {"oldPasswords": {"$each": [old], "$slice": -_KEPT_PASSWORDS}}
