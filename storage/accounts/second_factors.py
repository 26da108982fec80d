"""The second factors of an account, in its document: every condition stands in the update that it is for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bson import ObjectId

from storage.accounts.documents import User
from storage.base.database import Change, Clock, Condition, Databases, Projection, Session
from storage.events.events import Events

_NO_SEEDS: Projection = {"seed": "", "pendingSeed": "", "pendingSeedChanged": False}
NO_SECOND_FACTORS: Change = {"enabled2fa": [], **_NO_SEEDS, "webauthn": {"credentials": []}}

_LAST_STEP = "mallard.totpStep"
_METHODS: Projection = {
    "$cond": [{"$isArray": "$enabled2fa"}, "$enabled2fa", {"$cond": ["$enabled2fa", ["totp"], []]}]
}
_NEXT_VERSION: Projection = {"$add": [{"$ifNull": ["$authVersion", 0]}, 1]}


class SecondFactors:
    """Repository of TOTP seeds and of the list of methods that are on.

    Old documents have a boolean in place of the list, true for TOTP alone; whatever changes the list writes it whole.
    """

    def __init__(self, databases: Databases, clock: Clock, events: Events) -> None:
        self._collection = databases.users["users"]
        self._clock = clock
        self._events = events

    def set_pending(self, user: ObjectId, seed: str) -> bool:
        """Keep a seed that waits for its first code; whether TOTP is still off."""
        fields = {"pendingSeed": seed, "pendingSeedChanged": self._clock()}
        return self._matched({"_id": user, **_is_off("totp")}, {"$set": fields})

    def enable_totp(self, user: ObjectId, pending: str, step: int) -> bool:
        """Switch TOTP on with the pending seed, one of whose codes was right; whether that still was the seed.

        The code's step counts as used.
        """
        fields = {
            **_switched_on("totp"), **_literal({**_NO_SEEDS, "seed": pending}), _LAST_STEP: {"$literal": step}
        }  # fmt: skip
        wanted = {"_id": user, "pendingSeed": pending, **_is_off("totp")}
        return self._switched("mfa.totp.enabled", wanted, [{"$set": fields}])

    def disable_totp(self, user: ObjectId) -> bool:
        """Switch TOTP off, its seed with it; whether it was on."""
        fields = {"enabled2fa": _without("totp"), **_literal(_NO_SEEDS)}
        return self._switched("mfa.totp.disabled", {"_id": user, **_is_on("totp")}, [{"$set": fields}])

    def enable_custom(self, user: ObjectId) -> bool:
        """Switch on the method of a site's own; whether it was off."""
        change = [{"$set": _switched_on("custom")}]
        return self._switched("mfa.custom.enabled", {"_id": user, **_is_off("custom")}, change)

    def disable_custom(self, user: ObjectId) -> bool:
        """Switch off the method of a site's own; whether it was on."""
        fields = {"enabled2fa": _without("custom")}
        return self._switched("mfa.custom.disabled", {"_id": user, **_is_on("custom")}, [{"$set": fields}])

    def clear(self, user: ObjectId) -> bool:
        """Switch off everything; whether there is such an account."""
        return self._switched("mfa.disabled", {"_id": user}, {"$set": NO_SECOND_FACTORS})

    def accept_step(self, user: ObjectId, seed: str, step: int) -> bool:
        """Use up a step and all before it; False where it was used up already, or the seed is another by now."""
        unused = {"$or": [{_LAST_STEP: {"$lt": step}}, {_LAST_STEP: None}]}
        return self._matched({"_id": user, "seed": seed, **unused}, {"$set": {_LAST_STEP: step}})

    def replace_seed(self, user: ObjectId, old: str, new: str) -> None:
        """Store the same seed in another form, if it has not been changed meanwhile."""
        self._matched({"_id": user, "seed": old}, {"$set": {"seed": new}})

    def _switched(self, kind: str, wanted: Condition, change: Any) -> bool:
        """Like `_matched`, and told as an event of this type."""
        user = wanted["_id"]

        def steps(session: Session) -> bool:
            matched = self._matched(wanted, change, session)
            if matched:
                self._events.emit(kind, user=user, session=session)
            return matched

        return self._events.in_transaction(user, steps)

    def _matched(self, wanted: Condition, change: Any, session: Session = None) -> bool:
        return self._collection.update_one(wanted, change, session=session).matched_count > 0


def has_pending(user: User, since: datetime) -> bool:
    """Whether the account has a seed that waits for its first code and was made after `since`."""
    made = user.get("pendingSeedChanged")
    return bool(user.get("pendingSeed")) and isinstance(made, datetime) and made > since


def _is_on(method: str) -> Condition:
    return {"enabled2fa": {"$in": _names(method)}}


def _is_off(method: str) -> Condition:
    return {"enabled2fa": {"$nin": _names(method)}}


def _names(method: str) -> list[str | bool]:
    return ["totp", True] if method == "totp" else [method]


def _switched_on(method: str) -> Change:
    """Sessions and pending log-ins from before end with the version."""
    return {"enabled2fa": {"$concatArrays": [_without(method), [method]]}, "authVersion": _NEXT_VERSION}


def _without(method: str) -> Change:
    return {"$filter": {"input": _METHODS, "cond": {"$ne": ["$$this", method]}}}


def _literal(fields: Change) -> Change:
    """Values for a pipeline, in which a text with a leading `$`, such as an encrypted seed, would name a field."""
    return {name: {"$literal": value} for name, value in fields.items()}
